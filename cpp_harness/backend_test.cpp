// The adapter as a statically linked host sees it: backend_test FIXTURE_DIR (written by
// extract_blob.py from a program with one input, one output and dynamic sizes). Calls the
// registered BackendInterface as the runtime does, with good and with bad arguments.
#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "backend.h"
#include "backend_fixture.h"
#include "backend_places.h"

namespace {

using executorch::aten::ArrayRef;
using executorch::aten::ScalarType;
using executorch::extension::make_tensor_ptr;
using executorch::runtime::BackendExecutionContext;
using executorch::runtime::BackendInitContext;
using executorch::runtime::BackendInterface;
using executorch::runtime::BackendOption;
using executorch::runtime::BackendOptionContext;
using executorch::runtime::BackendOptions;
using executorch::runtime::CompileSpec;
using executorch::runtime::DelegateHandle;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::FreeableBuffer;
using executorch::runtime::Result;
using executorch::runtime::Span;

int failures = 0;
std::string folder;

void check(bool holds, const char* what, int line) {
  if (!holds) {
    std::fprintf(stderr, "backend_test.cpp:%d: %s is false; last error: %s\n", line, what,
                 etvk_backend_last_error());
    ++failures;
  }
}
#undef CHECK  // here the rest is tried too
#define CHECK(condition) check(condition, #condition, __LINE__)

Result<DelegateHandle*> init(BackendInterface* backend, const InitRequest& request,
                             bool* freed = nullptr) {
  bool ignored = false;
  return fixture_init(backend, folder, request, freed == nullptr ? &ignored : freed);
}

Error execute(BackendInterface* backend, DelegateHandle* handle, std::vector<EValue*> args) {
  BackendExecutionContext context;
  return backend->execute(context, handle, {args.data(), args.size()});
}

BackendOption option(const char* key, const char* text) {
  BackendOption result;
  std::array<char, executorch::runtime::kMaxOptionValueLength> value{};
  std::strncpy(result.key, key, sizeof(result.key) - 1);
  std::strncpy(value.data(), text, value.size() - 1);
  result.value = value;
  return result;
}

class Taken final : public BackendInterface {
 public:
  bool is_available() const override { return false; }
  Result<DelegateHandle*> init(BackendInitContext&, FreeableBuffer*,
                               ArrayRef<CompileSpec>) const override {
    return Error::NotSupported;
  }
  Error execute(BackendExecutionContext&, DelegateHandle*, Span<EValue*>) const override {
    return Error::NotSupported;
  }
};

// A process where the name is taken: the refusal is an error number, and nothing else happens.
int test_name_taken() {
  static Taken taken;
  CHECK(executorch::runtime::register_backend({"VulkanBackend", &taken}) == Error::Ok);
  CHECK(etvk_register_backend() == static_cast<uint32_t>(Error::InvalidArgument));
  CHECK(etvk_backend_last_error()[0] != '\0');
  CHECK(executorch::runtime::get_backend_class("VulkanBackend") == &taken);
  return failures;
}

void test_init_errors(BackendInterface* backend) {
  FixtureData data(folder);
  bool freed = false;
  {
    FixtureData absent(folder);
    absent.named.mode = NAMED_ABSENT;
    CHECK(init(backend, {&absent, {}, {}}, &freed).error() == Error::InvalidExternalData);
    CHECK(freed && etvk_backend_last_error()[0] != '\0');
    CHECK(init(backend, {nullptr, {}, {}}, &freed).error() == Error::NotFound && freed);
  }
  char bytes[8] = {};
  for (const char* key : {"storage_type_override", "memory_layout_override",
                          "require_dynamic_shapes", "warmup_execute_after_compile"}) {
    CHECK(init(backend, {&data, {{key, {bytes, 3}}}, {}}, &freed).error() ==
          Error::InvalidArgument);
    CHECK(freed);
    CHECK(init(backend, {&data, {{key, {nullptr, 4}}}, {}}).error() == Error::InvalidArgument);
  }
  CHECK(init(backend, {&data, {{nullptr, {bytes, 4}}}, {}}).error() == Error::InvalidArgument);
  CHECK(init(backend, {&data, {}, {option("no_such_option", "1")}}).error() ==
        Error::InvalidArgument);
  CHECK(init(backend, {&data, {}, {option("workspace_bytes", "x")}}).error() ==
        Error::InvalidArgument);
  CHECK(init(backend, {&data, {}, {option("", "1")}}).error() == Error::InvalidArgument);
  BackendInitContext context(nullptr);
  CHECK(backend->init(context, nullptr, {}).error() == Error::InvalidArgument);
  FreeableBuffer garbage("not a delegate", 14, nullptr);
  CHECK(backend->init(context, &garbage, {}).error() == Error::DelegateInvalidCompatibility);
  CHECK(etvk_backend_delegate_count() == 0);
  CHECK(data.named.got == data.named.released);
  backend->destroy(nullptr);
}

void test_options(BackendInterface* backend) {
  BackendOptionContext context;
  BackendOptions<2> options;
  CHECK(options.set_option("workspace_bytes", 1 << 20) == Error::Ok);
  CHECK(backend->set_option(context, options.view()) == Error::Ok);
  BackendOptions<1> wrong;
  CHECK(wrong.set_option("no_such_option", 1) == Error::Ok);
  CHECK(backend->set_option(context, wrong.view()) == Error::InvalidArgument);
  BackendOption asked = option("workspace_bytes", "");
  Span<BackendOption> view(&asked, 1);
  CHECK(backend->get_option(context, view) == Error::Ok);
  const auto* text =
      std::get_if<std::array<char, executorch::runtime::kMaxOptionValueLength>>(&asked.value);
  CHECK(text != nullptr && std::strcmp(text->data(), "1048576") == 0);
  BackendOption unknown = option("no_such_option", "");
  Span<BackendOption> unknown_view(&unknown, 1);
  CHECK(backend->get_option(context, unknown_view) == Error::NotFound);

  // The default holds for a later init, and an option of that init overrides it.
  FixtureData data(folder);
  for (const uint64_t budget : {uint64_t{1} << 20, uint64_t{2} << 20}) {
    InitRequest request{&data, {}, {}};
    if (budget != 1 << 20) {
      request.options.push_back(option("workspace_bytes", std::to_string(budget).c_str()));
    }
    auto handle = init(backend, request);
    CHECK(handle.ok());
    etvk_memory memory{};
    CHECK(etvk_delegate_memory(etvk_backend_delegate(0), &memory) == ETVK_STATUS_OK);
    CHECK(memory.workspace_budget_bytes == budget);
    if (handle.ok()) {
      backend->destroy(handle.get());
    }
  }
}

// Every type of option value, as runtime specs; a wrong value is an error and loads nothing.
void test_option_values(BackendInterface* backend) {
  FixtureData data(folder);
  BackendOption flag = option("warm_up", "");
  flag.value = true;
  BackendOption number = option("keep_device", "");
  number.value = 0;
  auto handle = init(backend, {&data, {}, {flag, number, option("profile", "1")}});
  CHECK(handle.ok());
  if (handle.ok()) {
    backend->destroy(handle.get());
  }
  number.value = 2;
  CHECK(init(backend, {&data, {}, {number}}).error() == Error::InvalidArgument);
  flag.value = std::array<char, executorch::runtime::kMaxOptionValueLength>{'y', 'e', 's'};
  CHECK(init(backend, {&data, {}, {flag}}).error() == Error::InvalidArgument);
  CHECK(init(backend, {&data, {}, {option("memory_limit_bytes", "1000")}}).error() ==
        Error::DelegateMemoryAllocationFailed);
  CHECK(std::strstr(etvk_backend_last_error(), "memory_limit_bytes is 1000") != nullptr);
  CHECK(etvk_backend_delegate_count() == 0);
}

int log_lines = 0;

void count_line(et_timestamp_t, et_pal_log_level_t, const char*, const char*, size_t,
                const char* message, size_t) {
  log_lines += std::strstr(message, "etvk: loaded") != nullptr ? 1 : 0;
}

// Records go to the runtime's log when the option log asks for them.
void test_log(BackendInterface* backend) {
  using executorch::runtime::PalImpl;
  CHECK(executorch::runtime::register_pal(PalImpl::create(count_line, __FILE__)));
  FixtureData data(folder);
  for (const char* level : {"off", "info", "off"}) {
    const int before = log_lines;
    auto handle = init(backend, {&data, {}, {option("log", level)}});
    CHECK(handle.ok());
    CHECK(log_lines - before == (std::strcmp(level, "info") == 0 ? 1 : 0));
    if (handle.ok()) {
      backend->destroy(handle.get());
    }
  }
}

// Row-major NCHW data in NHWC order.
std::vector<float> channels_last(const float* data, const Shape& shape) {
  const size_t channels = shape.dims[1];
  const size_t pixels = size_t{shape.dims[2]} * shape.dims[3];
  std::vector<float> result(channels * pixels);
  for (size_t c = 0; c < channels; ++c) {
    for (size_t p = 0; p < pixels; ++p) {
      result[p * channels + c] = data[c * pixels + p];
    }
  }
  return result;
}

std::vector<int> sizes_of(const Shape& shape) {
  return {shape.dims, shape.dims + shape.rank};
}

// The output tensor starts at its upper bound, as memory planning leaves it.
void test_run(BackendInterface* backend, DelegateHandle* handle, int index, const Shape& bound) {
  Run run = fixture_run(folder.c_str(), index);
  auto* data = reinterpret_cast<float*>(run.input.data);
  std::vector<float> output(size_t{bound.dims[1]} * bound.dims[2] * bound.dims[3]);
  auto in = make_tensor_ptr(sizes_of(run.in_shape), data);
  auto out = make_tensor_ptr(sizes_of(bound), output.data());
  EValue in_value(*in);
  EValue out_value(*out);
  CHECK(execute(backend, handle, {&in_value, &out_value}) == Error::Ok);
  const auto sizes = out_value.toTensor().sizes();
  CHECK(std::vector<int>(sizes.begin(), sizes.end()) == sizes_of(run.out_shape));
  CHECK(fixture_wrong(output.data(), &run.expected) == 0);

  // The same with channels-last memory on both sides.
  auto in_nhwc = channels_last(data, run.in_shape);
  std::vector<float> out_nhwc(output.size());
  auto in_last = make_tensor_ptr(sizes_of(run.in_shape), in_nhwc.data(), {0, 2, 3, 1}, {});
  auto out_last = make_tensor_ptr(sizes_of(bound), out_nhwc.data(), {0, 2, 3, 1}, {});
  EValue in_last_value(*in_last);
  EValue out_last_value(*out_last);
  CHECK(execute(backend, handle, {&in_last_value, &out_last_value}) == Error::Ok);
  auto want_nhwc =
      channels_last(reinterpret_cast<const float*>(run.expected.data), run.out_shape);
  const Bytes expected{reinterpret_cast<unsigned char*>(want_nhwc.data()), run.expected.size};
  CHECK(fixture_wrong(out_nhwc.data(), &expected) == 0);
  fixture_run_free(&run);
}

void test_bad_execute(BackendInterface* backend, DelegateHandle* handle) {
  Run run = fixture_run(folder.c_str(), 0);
  auto* data = reinterpret_cast<float*>(run.input.data);
  std::vector<float> output(run.expected.size / sizeof(float));
  auto in = make_tensor_ptr(sizes_of(run.in_shape), data);
  auto out = make_tensor_ptr(sizes_of(run.out_shape), output.data());
  EValue in_value(*in);
  EValue out_value(*out);
  EValue number(3.5);
  CHECK(execute(backend, nullptr, {&in_value, &out_value}) == Error::DelegateInvalidHandle);
  CHECK(execute(backend, handle, {}) == Error::InvalidArgument);
  CHECK(execute(backend, handle, {&in_value}) == Error::InvalidArgument);
  CHECK(execute(backend, handle, {&in_value, &out_value, &out_value}) == Error::InvalidArgument);
  CHECK(execute(backend, handle, {&in_value, nullptr}) == Error::InvalidArgument);
  CHECK(execute(backend, handle, {&number, &out_value}) == Error::InvalidType);
  CHECK(execute(backend, handle, {&in_value, &number}) == Error::InvalidType);
  auto wrong_type = make_tensor_ptr(sizes_of(run.in_shape), data, ScalarType::Int);
  EValue wrong_type_value(*wrong_type);
  CHECK(execute(backend, handle, {&wrong_type_value, &out_value}) == Error::InvalidType);
  auto wrong_rank = make_tensor_ptr({4, 4}, data);
  EValue wrong_rank_value(*wrong_rank);
  CHECK(execute(backend, handle, {&wrong_rank_value, &out_value}) == Error::InvalidArgument);
  auto no_data = make_tensor_ptr(sizes_of(run.in_shape), nullptr);
  EValue no_data_value(*no_data);
  CHECK(execute(backend, handle, {&no_data_value, &out_value}) == Error::InvalidArgument);
  auto too_large = make_tensor_ptr({1, 64, 4000, 1}, data);
  EValue too_large_value(*too_large);
  CHECK(execute(backend, handle, {&too_large_value, &out_value}) == Error::InvalidArgument);
  auto fixed = make_tensor_ptr({1, 1, 1, 1}, output.data(), ScalarType::Float,
                               executorch::aten::Device(executorch::aten::DeviceType::CPU),
                               executorch::aten::TensorShapeDynamism::STATIC);
  EValue fixed_value(*fixed);
  CHECK(execute(backend, handle, {&in_value, &fixed_value}) != Error::Ok);
  CHECK(execute(backend, handle, {&in_value, &out_value}) == Error::Ok);
  fixture_run_free(&run);
}

// What arguments are when there are more than ports.
void test_places() {
  const auto port = [](std::vector<uint32_t> dims) {
    etvk_port one{ETVK_PORT_TENSOR, ETVK_DTYPE_FLOAT32, static_cast<uint32_t>(dims.size()), {}, {}, 0};
    std::copy(dims.begin(), dims.end(), one.max_dims);
    return one;
  };
  const auto a = port({2, 3});
  const auto b = port({3, 2});
  float data[6] = {};
  auto like_a = make_tensor_ptr({2, 3}, data);
  auto like_b = make_tensor_ptr({3, 2}, data);
  auto small = make_tensor_ptr({1, 3}, data);
  EValue x(*like_a), y(*like_b), z(*small);
  etvk_backend::Places places;
  const auto place = [&](std::vector<EValue*> args, std::vector<etvk_port> inputs,
                         std::vector<etvk_port> outputs) {
    return etvk_backend::place_arguments({args.data(), args.size()}, inputs, outputs, &places);
  };
  using Numbers = std::vector<size_t>;
  // As many as ports: in order, whatever their sizes are.
  CHECK(place({&y, &x}, {a}, {b}) && places.inputs == Numbers{0} && places.outputs == Numbers{0});
  // An output given twice.
  CHECK(place({&x, &x, &y, &x}, {a}, {a, b}) && places.inputs == Numbers{0} &&
        places.first_output == 1 && places.outputs == Numbers({0, 1, 0}));
  // An input that nothing reads, before and behind one that is smaller than its bound.
  CHECK(place({&y, &z, &x}, {a}, {a}) && places.inputs == Numbers{1} && places.first_output == 2);
  CHECK(place({&z, &y, &x}, {a}, {a}) && places.inputs == Numbers{0} && places.first_output == 2);
  // Either of the two; and neither.
  CHECK(!place({&x, &x, &x}, {a}, {a}));
  CHECK(!place({&x, &x, &x}, {a}, {b}));
  CHECK(!place({&x}, {a}, {a}));
}

int test_all() {
  test_places();
  CHECK(etvk_register_backend() == 0);
  CHECK(etvk_register_backend() == 0);
  auto* backend = executorch::runtime::get_backend_class("VulkanBackend");
  CHECK(backend != nullptr && backend->is_available());
  if (failures != 0) {
    return failures;
  }
  test_init_errors(backend);
  FixtureData data(folder);
  char bytes[8] = {};
  bool freed = false;
  auto handle = init(
      backend,
      {&data, {{"require_dynamic_shapes", {bytes, 1}}, {"a_key_of_tomorrow", {bytes, 5}}}, {}},
      &freed);
  CHECK(handle.ok() && freed);
  if (handle.ok()) {
    CHECK(etvk_backend_delegate_count() == 1 && etvk_backend_delegate(0) != nullptr);
    CHECK(etvk_backend_delegate(1) == nullptr);
    etvk_port bound{};
    CHECK(etvk_delegate_output(etvk_backend_delegate(0), 0, &bound) == ETVK_STATUS_OK);
    Shape bound_shape{bound.rank, {}};
    std::copy_n(bound.max_dims, bound.rank, bound_shape.dims);
    for (int index = 0; index < 4; ++index) {
      test_run(backend, handle.get(), index, bound_shape);
    }
    test_bad_execute(backend, handle.get());
    backend->destroy(handle.get());
  }
  CHECK(data.named.got > 0 && data.named.got == data.named.released);
  CHECK(etvk_backend_delegate_count() == 0);
  test_options(backend);
  test_option_values(backend);
  test_log(backend);
  return failures;
}

}  // namespace

int main(int argc, char** argv) {
  executorch::runtime::runtime_init();
  if (argc != 2) {
    std::fprintf(stderr, "backend_test FIXTURE_DIR | --name-taken\n");
    return 2;
  }
  folder = argv[1];
  const int failed = folder == "--name-taken" ? test_name_taken() : test_all();
  std::printf("backend_test %s: %s\n", argv[1], failed == 0 ? "passed" : "FAILED");
  return failed == 0 ? 0 : 1;
}
