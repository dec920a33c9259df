// The benchmark's results beside the peers', as a table and as geometric means.
#pragma once

#include <string>
#include <vector>

#include "runner_json.h"

namespace etvk_run {

// Adds `peer` to a row of measure() that `peers` knows by the case's name: best_ms, cudnn_host_ms,
// etvk_host_ms (ExecuTorch's own delegate), workspace_bytes (of the peer with the most), and the
// ratios of ours to them, `gpu_ratio` and `host_ratio`. `peers` has an object of name_unit numbers
// per case: best_ms, etvk_e2e_ms, cudnn_e2e_ms, ncnn_workspace_mib; each may be missing.
void add_peer(const Json& peers, Json* row);

std::string table_head(bool with_peers);
std::string table_line(const Json& row, bool with_peers);

// Of the rows of one set of options: geometric means over single convolutions and over everything
// else, fp32 and fp16 apart (names that end in __fp32 and __fp16), and the largest workspace.
Json summary(const std::vector<Json>& rows);
std::string summary_text(const Json& summary);

}  // namespace etvk_run
