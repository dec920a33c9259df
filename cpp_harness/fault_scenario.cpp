#include "fault_scenario.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace etvk_faults {
namespace {

constexpr unsigned char kUntouched = 0xA5;
constexpr size_t kRuns = 2;

template <typename Function>
void resolve(void* library, const char* name, Function* function) {
  void* symbol = dlsym(library, name);
  require(symbol != nullptr, std::string("the layer does not export ") + name);
  *function = reinterpret_cast<Function>(symbol);
}

bool same_port(const etvk_port& a, const etvk_port& b) {
  return a.rank == b.rank && std::equal(a.dims, a.dims + a.rank, b.dims);
}

// The message of the call that is looked at: checks that follow it call the library again.
std::string message;

etvk_status noted(etvk_status status) {
  message = etvk_last_error();
  return status;
}

etvk_port output_port(etvk_delegate* delegate) {
  etvk_port port{};
  require(etvk_delegate_output(delegate, 0, &port) == ETVK_STATUS_OK, "no output port");
  return port;
}

}  // namespace

std::string& context() {
  static std::string text;
  return text;
}

void require(bool holds, const std::string& what) {
  if (!holds) {
    std::fprintf(stderr, "FAILED %s: %s (last error: %s)\n", context().c_str(), what.c_str(),
                 etvk_last_error());
    std::_Exit(1);
  }
}

bool loses_device(etvk_status status) {
  return status == ETVK_STATUS_DEVICE_LOST || status == ETVK_STATUS_TIMEOUT;
}

Layer::Layer(const char* path) {
  void* library = dlopen(path, RTLD_NOW);
  require(library != nullptr, std::string("dlopen ") + path);
  resolve(library, "etvk_layer_function", &function_);
  resolve(library, "etvk_layer_result", &result_);
  resolve(library, "etvk_layer_calls", &calls_);
  resolve(library, "etvk_layer_arm", &arm_);
  resolve(library, "etvk_layer_fired", &fired_);
  resolve(library, "etvk_layer_objects", &objects_);
  resolve(library, "etvk_layer_memory", &memory_);
}

std::map<std::string, uint64_t> Layer::live() const {
  std::map<std::string, uint64_t> result;
  uint64_t peak = 0;
  memory_(&result["bytes"], &peak);
  uint64_t live = 0;
  for (uint32_t i = 0; const char* kind = objects_(i, &live); ++i) {
    result[kind] = live;
  }
  return result;
}

Scenario::Scenario(const char* folder)
    : folder_(folder), blob_(fixture_bytes(folder, "blob.bin")) {
  for (size_t i = 0; i < kRuns; ++i) {
    // A program without dynamic sizes has one run, which is done twice.
    FILE* file = std::fopen((folder_ + "/run" + std::to_string(i) + ".txt").c_str(), "r");
    runs_.push_back(fixture_run(folder, file == nullptr ? 0 : static_cast<int>(i)));
    if (file != nullptr) {
      std::fclose(file);
    }
  }
}

Scenario::~Scenario() {
  std::for_each(runs_.begin(), runs_.end(), [](Run& run) { fixture_run_free(&run); });
  std::free(blob_.data);
}

etvk_status Scenario::create(const Config& config, etvk_delegate** delegate) const {
  std::vector<etvk_option> options;
  for (const auto& option : config.options) {
    options.push_back({option.first.c_str(), option.second.c_str()});
  }
  Named named{folder_.c_str(), NAMED_PRESENT, 0, 0};
  etvk_create_info info = fixture_create_info(blob_, &named);
  info.options = options.data();
  info.option_count = static_cast<uint32_t>(options.size());
  auto* const untouched = reinterpret_cast<etvk_delegate*>(&info);
  *delegate = untouched;
  const etvk_status status = noted(etvk_delegate_create(&info, delegate));
  require(named.got == named.released, "named data was not given back");
  require(status == ETVK_STATUS_OK || *delegate == untouched, "create wrote a handle and failed");
  return status;
}

etvk_status Scenario::resize(etvk_delegate* delegate, size_t run) const {
  const etvk_input_shape shape = fixture_input_shape(&runs_[run].in_shape);
  const etvk_port before = output_port(delegate);
  const etvk_status status = noted(etvk_delegate_resize(delegate, &shape, 1));
  require(status == ETVK_STATUS_OK || same_port(before, output_port(delegate)),
          "resize failed and changed the output's dims");
  return status;
}

etvk_status Scenario::execute(etvk_delegate* delegate, size_t run) const {
  const Run& data = runs_[run];
  std::vector<float> output(data.expected.size / sizeof(float));
  std::memset(output.data(), kUntouched, data.expected.size);
  const etvk_tensor in = fixture_tensor(data.input.data, data.input.size, &data.in_shape);
  const etvk_tensor out = fixture_tensor(output.data(), data.expected.size, &data.out_shape);
  const etvk_status status = noted(etvk_delegate_execute(delegate, &in, 1, &out, 1));
  if (status == ETVK_STATUS_OK) {
    require(fixture_wrong(output.data(), &data.expected) == 0, "a wrong result");
  } else {
    const auto* bytes = reinterpret_cast<const unsigned char*>(output.data());
    require(std::all_of(bytes, bytes + data.expected.size,
                        [](unsigned char byte) { return byte == kUntouched; }),
            "execute failed and wrote the output");
  }
  return status;
}

Outcome Scenario::end(const char* step, etvk_status status, const Layer& layer) const {
  Outcome outcome{status, step, message, layer.fired(), {}};
  for (uint32_t f = 0; layer.function(f) != nullptr; ++f) {
    outcome.calls.push_back(layer.calls(f));
  }
  layer.disarm();
  return outcome;
}

void Scenario::after_failure(etvk_delegate* delegate, etvk_status status, int set_up) const {
  if (loses_device(status)) {
    for (size_t run = 0; run < kRuns && set_up >= 0; ++run) {
      require(resize(delegate, run) == ETVK_STATUS_DEVICE_LOST, "a lost device was resized");
    }
    if (set_up >= 0) {
      require(execute(delegate, static_cast<size_t>(set_up)) == ETVK_STATUS_DEVICE_LOST,
              "a lost device executed");
    }
    return;
  }
  // What was set up before still is.
  if (set_up >= 0) {
    require(execute(delegate, static_cast<size_t>(set_up)) == ETVK_STATUS_OK,
            "the same again after the failure");
  }
  for (size_t run = 0; run < kRuns; ++run) {
    require(resize(delegate, run) == ETVK_STATUS_OK, "resize after the failure");
    require(execute(delegate, run) == ETVK_STATUS_OK, "execute after the failure");
  }
}

Outcome Scenario::run(const Config& config, const Layer& layer) const {
  etvk_delegate* delegate = nullptr;
  etvk_status status = create(config, &delegate);
  if (status != ETVK_STATUS_OK) {
    return end("create", status, layer);
  }
  int set_up = -1;
  const char* step = "report";
  for (size_t run = 0; run < kRuns && status == ETVK_STATUS_OK; ++run) {
    step = "resize";
    status = resize(delegate, run);
    if (status == ETVK_STATUS_OK) {
      set_up = static_cast<int>(run);
      step = "execute";
      status = execute(delegate, run);
    }
  }
  if (status == ETVK_STATUS_OK) {
    step = "report";
    std::string text(1 << 16, '\0');
    status = noted(etvk_delegate_report(delegate, &text[0], text.size(), nullptr));
  }
  Outcome outcome = end(step, status, layer);
  if (status != ETVK_STATUS_OK) {
    after_failure(delegate, status, set_up);
  }
  etvk_delegate_destroy(delegate);
  return outcome;
}

Bystander::Bystander(const Scenario& scenario, const Config& config)
    : scenario_(scenario), config_(config) {
  require(scenario_.create(config_, &delegate_) == ETVK_STATUS_OK, "the other delegate");
  check();
}

void Bystander::check() const {
  require(scenario_.resize(delegate_, 0) == ETVK_STATUS_OK, "the other delegate: resize");
  require(scenario_.execute(delegate_, 0) == ETVK_STATUS_OK, "the other delegate: execute");
}

bool Bystander::lost() const {
  return scenario_.execute(delegate_, 0) == ETVK_STATUS_DEVICE_LOST;
}

void Bystander::renew() {
  etvk_delegate_destroy(delegate_);
  require(scenario_.create(config_, &delegate_) == ETVK_STATUS_OK, "the other delegate, again");
  check();
}

}  // namespace etvk_faults
