#include "bench_table.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>

#include "runner_report.h"

namespace etvk_run {
namespace {

__attribute__((format(printf, 1, 2))) std::string format(const char* text, ...) {
  char line[512];
  va_list args;
  va_start(args, text);
  std::vsnprintf(line, sizeof(line), text, args);
  va_end(args);
  return line;
}

Json ratio(const Json& ours, const Json& theirs) {
  if (ours.is_null() || theirs.is_null() || !(theirs.number() > 0)) {
    return {};
  }
  return ours.number() / theirs.number();
}

// "-" where there is no number.
std::string cell(const Json& value, int digits) {
  return value.is_null() ? "-" : format("%.*f", digits, value.number());
}

std::string mebibytes(const Json& bytes) {
  return bytes.is_null() ? "-" : format("%.2f", bytes.number() / (1 << 20));
}

// What most of the GPU time goes to, for one column.
std::string algorithm_of(const Json& row) {
  const auto& convolutions = row["convolutions"].items();
  if (convolutions.empty()) {
    return "-";
  }
  std::string name = convolutions[0]["algorithm"].string();
  for (const auto& convolution : convolutions) {
    if (convolution["algorithm"].string() != name) {
      return format("%zu convolutions", convolutions.size());
    }
  }
  return convolutions.size() == 1 ? name : format("%zu %s", convolutions.size(), name.c_str());
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// A mean of logarithms; null without values.
class GeometricMean {
 public:
  void add(const Json& value) {
    if (!value.is_null() && value.number() > 0) {
      sum_ += std::log(value.number());
      ++count_;
      largest_ = std::max(largest_, value.number());
    }
  }
  Json json() const {
    if (count_ == 0) {
      return {};
    }
    return Json::object().set("mean", std::exp(sum_ / count_)).set("count", count_).set("most", largest_);
  }

 private:
  double sum_ = 0;
  int count_ = 0;
  double largest_ = 0;
};

}  // namespace

void add_peer(const Json& peers, Json* row) {
  const Json& known = peers[(*row)["case"].string()];
  if (known.is_null()) {
    return;
  }
  Json peer = Json::object();
  peer.set("best_ms", known["best_ms"]).set("etvk_host_ms", known["etvk_e2e_ms"]);
  peer.set("cudnn_host_ms", known["cudnn_e2e_ms"]);
  const Json& workspace = known["ncnn_workspace_mib"];
  peer.set("workspace_bytes",
           workspace.is_null() ? Json() : Json(std::round(workspace.number() * (1 << 20))));
  peer.set("gpu_ratio", ratio((*row)["gpu_inner_ms"], known["best_ms"]));
  peer.set("host_ratio", ratio((*row)["host_ms"], known["etvk_e2e_ms"]));
  peer.set("cudnn_host_ratio", ratio((*row)["host_ms"], known["cudnn_e2e_ms"]));
  row->set("peer", std::move(peer));
}

std::string table_head(bool with_peers) {
  std::string line = format("%-28s %-16s %7s %7s %7s %9s %9s %9s %9s %9s", "case", "algorithm",
                            "load", "cached", "again", "GPU", "inner", "host", "workspace", "driver");
  if (with_peers) {
    line += format(" %9s %6s %6s", "best peer", "ratio", "host/");
  }
  return line + "  error\n";
}

std::string table_line(const Json& row, bool with_peers) {
  const std::string& name = row["case"].string();
  if (!row["error"].is_null()) {
    return format("%-28s FAILED: ", name.c_str()) + row["error"].string() + "\n";
  }
  std::string line = format("%-28s %-16s %7s %7s %7s %9s %9s %9s %9s %9s", name.c_str(),
                            algorithm_of(row).c_str(), cell(row["load_ms"], 1).c_str(),
                            cell(row["load_cached_ms"], 1).c_str(),
                            cell(row["load_again_ms"], 1).c_str(), cell(row["gpu_ms"], 4).c_str(),
                            cell(row["gpu_inner_ms"], 4).c_str(), cell(row["host_ms"], 3).c_str(),
                            mebibytes(row["workspace_bytes"]).c_str(),
                            mebibytes(row["driver_bytes"]).c_str());
  if (with_peers) {
    const Json& peer = row["peer"];
    line += format(" %9s %6s %6s", cell(peer["best_ms"], 4).c_str(),
                   cell(peer["gpu_ratio"], 2).c_str(), cell(peer["host_ratio"], 2).c_str());
  }
  // Of the largest expected value.
  const double scale = std::max(row["error_scale"].number(), 1e-30);
  line += row["largest_error"].is_null() ? "  inf"
                                         : format("  %.1e", row["largest_error"].number() / scale);
  return line + (row["within"].truth() ? "\n" : "  WRONG: " + row["worst"].string() + "\n");
}

Json summary(const std::vector<Json>& rows) {
  Json result = Json::object();
  double workspace = 0;
  for (const char* suffix : {"fp32", "fp16"}) {
    GeometricMean layers, nets, host, cudnn_host;
    for (const auto& row : rows) {
      const Json& peer = row["peer"];
      if (!row["error"].is_null() || !ends_with(row["case"].string(), suffix)) {
        continue;
      }
      (row["convolutions"].items().size() == 1 ? layers : nets).add(peer["gpu_ratio"]);
      host.add(peer["host_ratio"]);
      cudnn_host.add(peer["cudnn_host_ratio"]);
    }
    result.set(suffix, Json::object()
                           .set("layers_over_best_peer", layers.json())
                           .set("nets_over_best_peer", nets.json())
                           .set("host_over_etvk", host.json())
                           .set("host_over_cudnn", cudnn_host.json()));
  }
  int failed = 0;
  for (const auto& row : rows) {
    if (!row["error"].is_null() || !row["within"].truth()) {
      ++failed;
    } else {
      workspace = std::max(workspace, row["workspace_bytes"].number());
    }
  }
  result.set("most_workspace_bytes", workspace).set("cases", rows.size()).set("failed", failed);
  return result;
}

std::string summary_text(const Json& summary) {
  struct Line {
    const char* key;
    const char* text;
  };
  constexpr Line kLines[] = {
      {"layers_over_best_peer", "GPU time over the best peer, single convolutions"},
      {"nets_over_best_peer", "GPU time over the best peer, nets"},
      {"host_over_etvk", "host to host over ExecuTorch's delegate"},
      {"host_over_cudnn", "host to host over cuDNN"},
  };
  std::string text;
  for (const char* suffix : {"fp32", "fp16"}) {
    for (const auto& line : kLines) {
      const Json& mean = summary[suffix][line.key];
      if (!mean.is_null()) {
        text += format("%s  %-50s %.3f over %.0f, at most %.2f\n", suffix, line.text,
                       mean["mean"].number(), mean["count"].number(), mean["most"].number());
      }
    }
  }
  return text + format("%.0f case(s), %.0f failed; largest workspace %s\n",
                       summary["cases"].number(), summary["failed"].number(),
                       bytes_text(static_cast<uint64_t>(
                                      summary["most_workspace_bytes"].number()))
                           .c_str());
}

}  // namespace etvk_run
