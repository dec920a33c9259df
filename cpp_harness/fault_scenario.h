// What fault_test.cpp runs again and again, and the layer that lets calls fail meanwhile.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "c_api_fixture.h"
#include "etvk.h"
#include "fault_layer.h"

namespace etvk_faults {

// What is being tested, for messages.
std::string& context();
// Ends the process with a message unless `holds`.
void require(bool holds, const std::string& what);

// The functions of fault_layer.h in the layer that the loader has.
class Layer {
 public:
  explicit Layer(const char* path);
  const char* function(uint32_t index) const { return function_(index); }
  int32_t result(uint32_t index, uint32_t result) const { return result_(index, result); }
  uint64_t calls(uint32_t index) const { return calls_(index); }
  uint64_t fired() const { return fired_(); }
  void arm(uint32_t index, uint64_t ordinal, int32_t result, etvk_fault_mode mode) const {
    arm_(index, ordinal, result, mode);
  }
  void disarm() const { arm_(0, 0, 0, ETVK_FAULT_ONCE); }
  // Objects of each kind, and "bytes".
  std::map<std::string, uint64_t> live() const;

 private:
  decltype(&etvk_layer_function) function_ = nullptr;
  decltype(&etvk_layer_result) result_ = nullptr;
  decltype(&etvk_layer_calls) calls_ = nullptr;
  decltype(&etvk_layer_arm) arm_ = nullptr;
  decltype(&etvk_layer_fired) fired_ = nullptr;
  decltype(&etvk_layer_objects) objects_ = nullptr;
  decltype(&etvk_layer_memory) memory_ = nullptr;
};

struct Config {
  std::string name;
  std::vector<std::pair<std::string, std::string>> options;
};

// How a run ended: OK, or the first call that failed.
struct Outcome {
  etvk_status status = ETVK_STATUS_OK;
  std::string step;
  std::string message;
  uint64_t fired = 0;           // calls of the driver that failed
  std::vector<uint64_t> calls;  // of each function
};

// Whether every later call on the device fails.
bool loses_device(etvk_status status);

// A program and its runs.
class Scenario {
 public:
  explicit Scenario(const char* folder);
  ~Scenario();
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;

  // Create, then for two runs of the fixture resize and execute, then report and destroy. When one
  // fails: disarms, checks that nothing changed, and that the delegate works or is lost.
  Outcome run(const Config& config, const Layer& layer) const;

  etvk_status create(const Config& config, etvk_delegate** delegate) const;
  etvk_status resize(etvk_delegate* delegate, size_t run) const;
  // On success the output must be right; on failure, untouched.
  etvk_status execute(etvk_delegate* delegate, size_t run) const;

 private:
  Outcome end(const char* step, etvk_status status, const Layer& layer) const;
  void after_failure(etvk_delegate* delegate, etvk_status status, int set_up) const;

  std::string folder_;
  Bytes blob_;
  std::vector<Run> runs_;
};

// Another delegate that must not notice.
class Bystander {
 public:
  Bystander(const Scenario& scenario, const Config& config);
  ~Bystander() { etvk_delegate_destroy(delegate_); }
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;

  // Runs it once; the result must be right.
  void check() const;
  // Whether it says that its device is lost.
  bool lost() const;
  // Destroys it and makes it again.
  void renew();

 private:
  const Scenario& scenario_;
  Config config_;
  etvk_delegate* delegate_ = nullptr;
};

}  // namespace etvk_faults
