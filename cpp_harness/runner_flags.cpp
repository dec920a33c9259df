#include "runner_flags.h"

#include <cstdlib>

namespace etvk_run {

std::string Flags::value() {
  if (at_ + 1 >= argc_) {
    throw UsageError(flag() + " needs a value");
  }
  return argv_[++at_];
}

double Flags::number() {
  const std::string name = flag();
  const std::string text = value();
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(number >= 0)) {
    throw UsageError(name + " " + text + ": not a number of at least 0");
  }
  return number;
}

std::pair<std::string, std::string> Flags::option() {
  const std::string name = flag();
  const std::string text = value();
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw UsageError(name + " " + text + ": not of the form KEY=VALUE");
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

}  // namespace etvk_run
