// The command line of a program, flag by flag.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace etvk_run {

class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Flags {
 public:
  Flags(int argc, char** argv) : argc_(argc), argv_(argv) {}

  // Goes on to the next argument; false at the end.
  bool next() { return ++at_ < argc_; }
  // The argument that next() went to.
  std::string flag() const { return argv_[at_]; }
  // The argument behind it, which is its value. Like the two below, throws UsageError.
  std::string value();
  // The value as a number of at least 0.
  double number();
  // The value KEY=VALUE.
  std::pair<std::string, std::string> option();

 private:
  int argc_;
  char** argv_;
  int at_ = 0;
};

}  // namespace etvk_run
