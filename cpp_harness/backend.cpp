// The executorch BackendInterface over the C ABI: checks and converts arguments, keeps no state
// of its own but ports and options, and lets nothing but an Error out.
#include "backend.h"

#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <executorch/runtime/platform/log.h>
#include <executorch/runtime/platform/runtime.h>

#include <array>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "backend_convert.h"
#include "backend_handle.h"

namespace etvk_backend {
namespace {

using executorch::aten::ArrayRef;
using executorch::runtime::Backend;
using executorch::runtime::BackendExecutionContext;
using executorch::runtime::BackendInitContext;
using executorch::runtime::BackendOption;
using executorch::runtime::BackendOptionContext;
using executorch::runtime::CompileSpec;
using executorch::runtime::DelegateHandle;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::FreeableBuffer;
using executorch::runtime::NamedDataMap;
using executorch::runtime::Result;
using executorch::runtime::Span;

constexpr char kName[] = "VulkanBackend";

// Options of set_option: defaults of every later init. Guarded by options_mutex().
OptionMap& default_options() {
  static OptionMap options;
  return options;
}

std::mutex& options_mutex() {
  static std::mutex mutex;
  return mutex;
}

OptionMap copy_default_options() {
  std::lock_guard<std::mutex> lock(options_mutex());
  return default_options();
}

// Hands constants out for as long as init runs; a buffer lives until the library releases it.
struct NamedData {
  const NamedDataMap* map;
  Error error = Error::NotFound;  // why the last constant was not there
};

int32_t named_data_get(void* context, const char* key, const void** data, size_t* size_bytes,
                       void** token) noexcept {
  auto* named_data = static_cast<NamedData*>(context);
  try {
    if (named_data->map == nullptr) {
      return 1;
    }
    auto result = named_data->map->get_data(key);
    if (!result.ok()) {
      named_data->error = result.error();
      return 1;
    }
    auto buffer = std::make_unique<FreeableBuffer>(std::move(result.get()));
    auto bytes = buffer->data_safe();
    if (!bytes.ok()) {
      named_data->error = bytes.error();
      return 1;
    }
    *data = bytes.get();
    *size_bytes = buffer->size();
    *token = buffer.release();
    return 0;
  } catch (...) {
    named_data->error = Error::MemoryAllocationFailed;
    return 1;
  }
}

// False when the host's function for that threw: the buffer's destructor would call it again.
bool free_bytes(FreeableBuffer* buffer) noexcept {
  try {
    buffer->Free();
    return true;
  } catch (...) {
    return false;
  }
}

void named_data_release(void*, void* token) noexcept {
  auto* buffer = static_cast<FreeableBuffer*>(token);
  if (free_bytes(buffer)) {
    delete buffer;
  }
}

// Runs `body` so that a C++ exception becomes an error too.
template <typename Body>
auto guarded(const char* what, Body&& body) -> decltype(body()) {
  try {
    clear_last_error();
    return body();
  } catch (const std::bad_alloc&) {
    return fail(Error::MemoryAllocationFailed, what, "out of host memory");
  } catch (const std::exception& exception) {
    return fail(Error::Internal, what, exception.what());
  } catch (...) {
    return fail(Error::Internal, what, "unknown exception");
  }
}

class EtvkBackend final : public executorch::runtime::BackendInterface {
 public:
  // False only where there is no device: any other trouble is better told by init, which has a
  // status and a message for it.
  bool is_available() const override {
    const Error error = guarded("is_available", [] {
      const OptionMap options = copy_default_options();
      const auto list = option_list(options);
      const etvk_status status = etvk_probe(list.data(), static_cast<uint32_t>(list.size()));
      return status == ETVK_STATUS_NO_DEVICE ? fail_status(status, Phase::Init, "is_available")
                                             : Error::Ok;
    });
    return error == Error::Ok;
  }

  Result<DelegateHandle*> init(BackendInitContext& context, FreeableBuffer* processed,
                               ArrayRef<CompileSpec> compile_specs) const override {
    auto result = guarded("init", [&]() -> Result<DelegateHandle*> {
      return create(context, processed, compile_specs);
    });
    if (processed != nullptr) {
      free_bytes(processed);
    }
    return result;
  }

  Error execute(BackendExecutionContext& context, DelegateHandle* handle,
                Span<EValue*> args) const override {
    return guarded("execute", [&] {
      if (handle == nullptr) {
        return fail(Error::DelegateInvalidHandle, "execute", "the handle is null");
      }
      return static_cast<Handle*>(handle)->execute(args, context.event_tracer());
    });
  }

  // All of the options or none of them: a wrong one leaves the defaults as they were.
  Error set_option(BackendOptionContext&, const Span<BackendOption>& options) override {
    return guarded("set_option", [&] {
      std::lock_guard<std::mutex> lock(options_mutex());
      OptionMap changed = default_options();
      if (add_options({options.data(), options.size()}, &changed) != Error::Ok) {
        return fail(Error::InvalidArgument, "set_option", "an option has no key");
      }
      const auto list = option_list(changed);
      const etvk_status status = etvk_probe(list.data(), static_cast<uint32_t>(list.size()));
      if (status == ETVK_STATUS_INVALID_ARGUMENT) {
        return fail_status(status, Phase::Init, "set_option");
      }
      default_options() = std::move(changed);
      return Error::Ok;
    });
  }

  // Fills in the text of every option asked for that set_option has set.
  Error get_option(BackendOptionContext&, Span<BackendOption>& options) override {
    return guarded("get_option", [&] {
      const OptionMap current = copy_default_options();
      for (auto& option : options) {
        const auto found = current.find(
            std::string(option.key, strnlen(option.key, executorch::runtime::kMaxOptionKeyLength)));
        if (found == current.end()) {
          return fail(Error::NotFound, "get_option", option.key);
        }
        std::array<char, executorch::runtime::kMaxOptionValueLength> text{};
        found->second.copy(text.data(), text.size() - 1);
        option.value = text;
      }
      return Error::Ok;
    });
  }

  void destroy(DelegateHandle* handle) const override {
    guarded("destroy", [&] {
      delete static_cast<Handle*>(handle);
      return Error::Ok;
    });
  }

 private:
  static Result<DelegateHandle*> create(BackendInitContext& context, FreeableBuffer* processed,
                                        ArrayRef<CompileSpec> compile_specs) {
    std::string message;
    const Error specs_error = check_compile_specs(compile_specs, &message);
    if (specs_error != Error::Ok) {
      return fail(specs_error, "init", message.c_str());
    }
    if (processed == nullptr) {
      return fail(Error::InvalidArgument, "init", "no delegate data");
    }
    auto blob = processed->data_safe();
    if (!blob.ok()) {
      return fail(blob.error(), "init", "the delegate data is not in host memory");
    }
    OptionMap options = copy_default_options();
    if (add_options(context.runtime_specs(), &options) != Error::Ok) {
      return fail(Error::InvalidArgument, "init", "a runtime option has no key");
    }
    const auto list = option_list(options);
    NamedData named_data{context.get_named_data_map()};
    etvk_create_info info{};
    info.struct_size = sizeof(info);
    info.options = list.data();
    info.option_count = static_cast<uint32_t>(list.size());
    info.blob = blob.get();
    info.blob_size_bytes = processed->size();
    info.named_data_get = named_data_get;
    info.named_data_release = named_data_release;
    info.named_data_context = &named_data;
    etvk_delegate* delegate = nullptr;
    const etvk_status status = etvk_delegate_create(&info, &delegate);
    if (status != ETVK_STATUS_OK) {
      const Error error = fail_status(status, Phase::Init, "init");
      return status == ETVK_STATUS_MISSING_DATA ? named_data.error : error;
    }
    auto handle = std::make_unique<Handle>(delegate, named_data.map);
    const Error error = handle->read_ports();
    if (error != Error::Ok) {
      return error;
    }
    return handle.release();
  }
};

// Log records of the library, which the option log asks for. The runtime's log cuts long lines.
void log_record(void*, uint32_t level, const char* message) noexcept {
  try {
    if (level <= ETVK_LOG_ERROR) {
      ET_LOG(Error, "etvk: %s", message);
    } else {
      ET_LOG(Info, "etvk: %s", message);
    }
  } catch (...) {
    // The host's platform layer threw: a record is lost.
  }
}

EtvkBackend& instance() {
  static EtvkBackend backend;
  return backend;
}

}  // namespace
}  // namespace etvk_backend

uint32_t etvk_register_backend(void) {
  using namespace etvk_backend;
  executorch::runtime::runtime_init();
  const Error error = guarded("register", [] {
    static std::mutex mutex;
    std::lock_guard<std::mutex> lock(mutex);
    auto* present = executorch::runtime::get_backend_class(kName);
    if (present == &instance()) {
      return Error::Ok;
    }
    if (present != nullptr) {
      return fail(Error::InvalidArgument, "register",
                  "another backend is registered as VulkanBackend; etvk is not used");
    }
    const Error refused = executorch::runtime::register_backend({kName, &instance()});
    if (refused == Error::Ok) {
      // A host that wants them elsewhere says so later.
      etvk_set_log_callback(log_record, nullptr, ETVK_LOG_OFF);
    }
    return refused == Error::Ok
               ? refused
               : fail(refused, "register", "the runtime refused the backend; etvk is not used");
  });
  return static_cast<uint32_t>(error);
}
