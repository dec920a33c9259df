// Stock cases: a folder with model.pte, manifest.json, and raw inputs and expected outputs.
#pragma once

#include <string>

#include "runner_backend.h"
#include "runner_json.h"
#include "runner_session.h"

namespace etvk_run {

enum class Verdict { Passed, Failed, Refused };

struct CaseResult {
  Verdict verdict = Verdict::Failed;
  Json json;
};

struct CaseRequest {
  std::string folder;
  std::vector<std::pair<std::string, std::string>> options;
  bool quiet = false;  // no lines on stdout
  std::string dump;    // folder for every output of every run, as files; none when empty
};

// Loads the case's program and runs every run of its manifest, each by the method that it names if
// it does. Prints a line per run as it ends:
// PASS, FAIL or REFUSED (the program could not be loaded because the backend does not support
// it), the case, the run, the largest difference; then "DONE <case> <verdict>".
// Output 1 of the case's first run is dumped to <dump>/<case>/run0_out1.bin.
CaseResult run_case(const CaseRequest& request, const Backend& backend);

}  // namespace etvk_run
