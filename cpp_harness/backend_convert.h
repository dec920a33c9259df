// ExecuTorch's types and errors in terms of the C ABI, and back. Pure functions.
#pragma once

#include <executorch/runtime/backend/interface.h>

#include <map>
#include <string>
#include <vector>

#include "etvk.h"

namespace etvk_backend {

enum class Phase { Init, Execute };

// The one place where a status becomes an ExecuTorch error.
executorch::runtime::Error error_from_status(etvk_status status, Phase phase);

// False when the C ABI has no such type.
bool dtype_from_scalar_type(executorch::aten::ScalarType type, uint32_t* dtype);

// Key and value of every option, values as the C ABI takes them: text.
using OptionMap = std::map<std::string, std::string>;
executorch::runtime::Error add_options(
    executorch::runtime::Span<const executorch::runtime::BackendOption> options, OptionMap* map);

// Views `map`; valid while it is not changed.
std::vector<etvk_option> option_list(const OptionMap& map);

// Keys that the runtime knows must have their size; all others are ignored.
executorch::runtime::Error check_compile_specs(
    executorch::runtime::ArrayRef<executorch::runtime::CompileSpec> specs, std::string* message);

}  // namespace etvk_backend
