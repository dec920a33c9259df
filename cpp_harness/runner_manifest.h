// The manifest of a stock case: a folder with a program, inputs, and what PyTorch computed.
#pragma once

#include <string>

#include "runner_json.h"
#include "runner_session.h"
#include "runner_tensor.h"

namespace etvk_run {

// The last part of the folder's path.
std::string case_name(std::string folder);

// These throw with the path of what cannot be read.
Json read_manifest(const std::string& folder);
ProgramFiles program_files(const std::string& folder, const Json& manifest);

// An entry of a run's inputs or outputs.
HostTensor read_tensor(const std::string& folder, const Json& entry);
Tolerance read_tolerance(const Json& entry);

}  // namespace etvk_run
