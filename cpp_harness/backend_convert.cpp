#include "backend_convert.h"

#include <array>
#include <cstring>
#include <variant>

namespace etvk_backend {

using executorch::aten::ScalarType;
using executorch::runtime::Error;

Error error_from_status(etvk_status status, Phase phase) {
  switch (status) {
    case ETVK_STATUS_OK:
      return Error::Ok;
    case ETVK_STATUS_INVALID_ARGUMENT:
      return Error::InvalidArgument;
    case ETVK_STATUS_INVALID_BLOB:
      return Error::DelegateInvalidCompatibility;
    case ETVK_STATUS_UNSUPPORTED:
      return Error::NotSupported;
    case ETVK_STATUS_UNKNOWN_OPERATOR:
      return Error::OperatorMissing;
    case ETVK_STATUS_MISSING_DATA:
    case ETVK_STATUS_NO_DEVICE:
      return Error::NotFound;
    case ETVK_STATUS_OUT_OF_MEMORY:
      return phase == Phase::Init ? Error::DelegateMemoryAllocationFailed
                                  : Error::MemoryAllocationFailed;
    case ETVK_STATUS_DEVICE_LOST:
    case ETVK_STATUS_INTERNAL:
    case ETVK_STATUS_PANIC:
    case ETVK_STATUS_TIMEOUT:
    default:
      return Error::Internal;
  }
}

bool dtype_from_scalar_type(ScalarType type, uint32_t* dtype) {
  switch (type) {
    case ScalarType::Bool:
      *dtype = ETVK_DTYPE_BOOL;
      return true;
    case ScalarType::Byte:
      *dtype = ETVK_DTYPE_UINT8;
      return true;
    case ScalarType::Char:
      *dtype = ETVK_DTYPE_INT8;
      return true;
    case ScalarType::Int:
      *dtype = ETVK_DTYPE_INT32;
      return true;
    case ScalarType::Long:
      *dtype = ETVK_DTYPE_INT64;
      return true;
    case ScalarType::Half:
      *dtype = ETVK_DTYPE_FLOAT16;
      return true;
    case ScalarType::Float:
      *dtype = ETVK_DTYPE_FLOAT32;
      return true;
    case ScalarType::Double:
      *dtype = ETVK_DTYPE_FLOAT64;
      return true;
    default:
      return false;
  }
}

Error add_options(executorch::runtime::Span<const executorch::runtime::BackendOption> options,
                  OptionMap* map) {
  using executorch::runtime::kMaxOptionKeyLength;
  using executorch::runtime::kMaxOptionValueLength;
  for (const auto& option : options) {
    const std::string key(option.key, strnlen(option.key, kMaxOptionKeyLength));
    if (key.empty()) {
      return Error::InvalidArgument;
    }
    if (const auto* flag = std::get_if<bool>(&option.value)) {
      (*map)[key] = *flag ? "1" : "0";
    } else if (const auto* number = std::get_if<int>(&option.value)) {
      (*map)[key] = std::to_string(*number);
    } else if (const auto* text =
                   std::get_if<std::array<char, kMaxOptionValueLength>>(&option.value)) {
      (*map)[key] = std::string(text->data(), strnlen(text->data(), text->size()));
    } else {
      return Error::InvalidArgument;
    }
  }
  return Error::Ok;
}

std::vector<etvk_option> option_list(const OptionMap& map) {
  std::vector<etvk_option> list;
  list.reserve(map.size());
  for (const auto& entry : map) {
    list.push_back({entry.first.c_str(), entry.second.c_str()});
  }
  return list;
}

Error check_compile_specs(
    executorch::runtime::ArrayRef<executorch::runtime::CompileSpec> specs, std::string* message) {
  // Storage, layout and warm-up are hints of another runtime, and dynamic shapes need no notice
  // here: the values change nothing, but a wrong size tells of a damaged program.
  static constexpr struct {
    const char* key;
    size_t size_bytes;
  } kKnown[] = {{"storage_type_override", 4},
                {"memory_layout_override", 4},
                {"require_dynamic_shapes", 1},
                {"warmup_execute_after_compile", 1}};
  for (const auto& spec : specs) {
    if (spec.key == nullptr) {
      *message = "a compile spec has no key";
      return Error::InvalidArgument;
    }
    for (const auto& known : kKnown) {
      if (std::strcmp(spec.key, known.key) != 0) {
        continue;
      }
      if (spec.value.nbytes != known.size_bytes || spec.value.buffer == nullptr) {
        *message = std::string("compile spec ") + known.key + ": " +
                   std::to_string(spec.value.nbytes) + " bytes, expected " +
                   std::to_string(known.size_bytes);
        return Error::InvalidArgument;
      }
    }
  }
  return Error::Ok;
}

}  // namespace etvk_backend
