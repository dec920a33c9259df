#include "runner_report.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace etvk_run {
namespace {

__attribute__((format(printf, 2, 3))) void append(std::string* out, const char* format, ...) {
  char line[512];
  va_list args;
  va_start(args, format);
  std::vsnprintf(line, sizeof(line), format, args);
  va_end(args);
  *out += line;
}

const char* algorithm_name(uint32_t algorithm) {
  switch (algorithm) {
    case ETVK_CONV_POINTWISE:
      return "pointwise";
    case ETVK_CONV_DEPTHWISE:
      return "depthwise";
    case ETVK_CONV_DIRECT:
      return "direct";
    case ETVK_CONV_IM2COL:
      return "im2col";
    case ETVK_CONV_IMPLICIT:
      return "implicit";
    case ETVK_CONV_WINOGRAD:
      return "winograd";
    default:
      return "unknown";
  }
}

std::string pair_text(const uint32_t pair[2]) {
  return std::to_string(pair[0]) + "x" + std::to_string(pair[1]);
}

std::string shape_text(uint32_t n, uint32_t c, uint32_t h, uint32_t w) {
  return std::to_string(n) + "x" + std::to_string(c) + "x" + std::to_string(h) + "x" +
         std::to_string(w);
}

std::string reason_of(const etvk_convolution& conv) {
  return {conv.reason, strnlen(conv.reason, sizeof(conv.reason))};
}

std::string text_of(const Backend& backend, const etvk_delegate* delegate,
                    decltype(&::etvk_delegate_report) function) {
  size_t needed = 0;
  check(backend, function(delegate, nullptr, 0, &needed));
  std::string text(needed, '\0');
  check(backend, function(delegate, text.data(), text.size(), &needed));
  text.resize(text.find('\0') == std::string::npos ? text.size() : text.find('\0'));
  return text;
}

// Dispatches and barriers of one run of all delegates.
std::pair<uint64_t, uint64_t> total_commands(const std::vector<DelegateReport>& delegates) {
  std::pair<uint64_t, uint64_t> total;
  for (const auto& delegate : delegates) {
    const Json report = Json::parse(delegate.json);
    total.first += static_cast<uint64_t>(report["commands"]["dispatches"].number());
    total.second += static_cast<uint64_t>(report["commands"]["barriers"].number());
  }
  return total;
}

void append_convolutions(const RunReport& report, bool detailed, std::string* out) {
  size_t count = 0;
  for (const auto& delegate : report.delegates) {
    count += delegate.convolutions.size();
  }
  append(out, "\nconvolutions: %zu\n", count);
  if (count == 0) {
    return;
  }
  append(out, "%5s  %-17s %-17s %-7s %-7s %-7s %-8s %6s  %-10s %9s %5s %10s\n", "node", "input",
         "output", "kernel", "stride", "padding", "dilation", "groups", "algorithm", "tile rows",
         "tiles", "workspace");
  for (const auto& delegate : report.delegates) {
    for (const auto& conv : delegate.convolutions) {
      const std::string tile = conv.algorithm == ETVK_CONV_IM2COL
                                   ? std::to_string(conv.h_out_tile)
                                   : std::string("-");
      append(out, "%5u  %-17s %-17s %-7s %-7s %-7s %-8s %6u  %-10s %9s %5u %10s%s\n", conv.node,
             shape_text(conv.n, conv.c_in, conv.h_in, conv.w_in).c_str(),
             shape_text(conv.n, conv.c_out, conv.h_out, conv.w_out).c_str(),
             pair_text(conv.kernel).c_str(), pair_text(conv.stride).c_str(),
             pair_text(conv.padding).c_str(), pair_text(conv.dilation).c_str(), conv.groups,
             algorithm_name(conv.algorithm), tile.c_str(), conv.tile_count,
             bytes_text(conv.workspace_bytes).c_str(), conv.transposed != 0 ? "  transposed" : "");
      if (detailed) {
        append(out, "       %s\n", reason_of(conv).c_str());
      }
    }
  }
}

// With the option `profile`: GPU time of the last run, and in detail of each dispatch.
void append_profile(const DelegateReport& delegate, bool detailed, std::string* out) {
  const Json parsed = Json::parse(delegate.json);
  const Json& profile = parsed["profile"];
  if (profile.is_null()) {
    return;
  }
  append(out, "on the GPU     %.4f ms in %zu dispatch(es)\n", profile["gpu_ms"].number(),
         profile["dispatches"].items().size());
  if (!detailed) {
    return;
  }
  for (const auto& dispatch : profile["dispatches"].items()) {
    const Json& node = dispatch["node"];
    append(out, "  %10.3f us  node %4s  %s", dispatch["gpu_us"].number(),
           node.is_null() ? "-" : std::to_string(static_cast<int>(node.number())).c_str(),
           dispatch["kernel"].string().c_str());
    for (const auto& count : dispatch["workgroups"].items()) {
      append(out, " %d", static_cast<int>(count.number()));
    }
    *out += "\n";
  }
}

void append_output(size_t index, const OutputReport& output, std::string* out) {
  append(out, "output %zu       %s %s", index, dims_text(output.dims).c_str(),
         output.dtype.c_str());
  if (!output.compared) {
    *out += "\n";
    return;
  }
  const Difference& difference = output.difference;
  append(out, ": largest difference %.3g, mean %.3g (allowed %.3g + %.3g |want|", difference.largest,
         difference.mean, output.tolerance.atol, output.tolerance.rtol);
  if (output.tolerance.has_mean) {
    append(out, ", mean %.3g", output.tolerance.mean_atol);
  }
  append(out, "): %s\n", difference.within ? "PASS" : "FAIL");
  if (!difference.within) {
    append(out, "               worst at %s\n", difference.worst.c_str());
  }
}

Json pair_json(const uint32_t pair[2]) {
  return Json::array().push(pair[0]).push(pair[1]);
}

Json memory_json(const etvk_memory& memory) {
  Json json = Json::object();
  json.set("workspace_bytes", memory.workspace_bytes);
  json.set("workspace_budget_bytes", memory.workspace_budget_bytes);
  json.set("activation_bytes", memory.activation_bytes);
  json.set("weight_bytes", memory.weight_bytes);
  json.set("staging_bytes", memory.staging_bytes);
  json.set("driver_bytes", memory.driver_bytes);
  json.set("driver_allocations", memory.driver_allocations);
  return json;
}

Json delegate_json(const DelegateReport& delegate) {
  Json json = Json::object();
  json.set("device", delegate.device).set("memory", memory_json(delegate.memory));
  Json convolutions = Json::array();
  for (const auto& conv : delegate.convolutions) {
    convolutions.push(to_json(conv));
  }
  json.set("convolutions", std::move(convolutions));
  json.set("report", Json::parse(delegate.json));
  return json;
}

}  // namespace

std::vector<DelegateReport> delegate_reports(const Backend& backend) {
  std::vector<DelegateReport> reports;
  for (uint32_t i = 0; i < backend.delegate_count(); ++i) {
    const etvk_delegate* delegate = backend.delegate(i);
    DelegateReport report;
    report.device = text_of(backend, delegate, backend.device_name);
    report.json = text_of(backend, delegate, backend.report);
    check(backend, backend.memory(delegate, &report.memory));
    uint32_t count = 0;
    check(backend, backend.convolution_count(delegate, &count));
    report.convolutions.resize(count);
    for (uint32_t k = 0; k < count; ++k) {
      check(backend, backend.convolution(delegate, k, &report.convolutions[k]));
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

etvk_memory total_memory(const std::vector<DelegateReport>& delegates) {
  etvk_memory total{};
  for (const auto& delegate : delegates) {
    total.workspace_bytes += delegate.memory.workspace_bytes;
    total.workspace_budget_bytes =
        std::max(total.workspace_budget_bytes, delegate.memory.workspace_budget_bytes);
    total.activation_bytes += delegate.memory.activation_bytes;
    total.weight_bytes += delegate.memory.weight_bytes;
    total.staging_bytes += delegate.memory.staging_bytes;
    total.driver_bytes += delegate.memory.driver_bytes;
    total.driver_allocations += delegate.memory.driver_allocations;
  }
  return total;
}

double median(std::vector<double> values) {
  if (values.empty()) {
    return 0;
  }
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::string bytes_text(uint64_t bytes) {
  char text[32];
  const double kib = static_cast<double>(bytes) / 1024;
  if (bytes == 0) {
    return "0";
  }
  if (kib < 1024) {
    std::snprintf(text, sizeof(text), "%.1f KiB", kib);
  } else {
    std::snprintf(text, sizeof(text), "%.2f MiB", kib / 1024);
  }
  return text;
}

std::string to_text(const RunReport& report, bool detailed) {
  std::string out;
  append(&out, "model          %s, method %s, %zu delegate(s)\n", report.model.c_str(),
         report.method.c_str(), report.delegates.size());
  append(&out, "device         %s\n",
         report.delegates.empty() ? "none" : report.delegates[0].device.c_str());
  append(&out, "load           %.1f ms\n", report.load_ms);
  append(&out, "first run      %.1f ms\n", report.first_ms);
  if (!report.steady_ms.empty()) {
    append(&out, "steady run     %.1f ms (median of %zu)\n", median(report.steady_ms),
           report.steady_ms.size());
  }
  for (const auto& delegate : report.delegates) {
    append_profile(delegate, detailed, &out);
  }
  append_convolutions(report, detailed, &out);
  const auto commands = total_commands(report.delegates);
  append(&out, "\ndispatches     %llu, barriers %llu\n",
         static_cast<unsigned long long>(commands.first),
         static_cast<unsigned long long>(commands.second));
  const etvk_memory memory = total_memory(report.delegates);
  append(&out, "peak memory    workspace %s (budget %s), activations %s, weights %s, staging %s\n",
         bytes_text(memory.workspace_bytes).c_str(),
         bytes_text(memory.workspace_budget_bytes).c_str(),
         bytes_text(memory.activation_bytes).c_str(), bytes_text(memory.weight_bytes).c_str(),
         bytes_text(memory.staging_bytes).c_str());
  append(&out, "from driver    %s in %llu allocation(s)\n", bytes_text(memory.driver_bytes).c_str(),
         static_cast<unsigned long long>(memory.driver_allocations));
  for (size_t i = 0; i < report.outputs.size(); ++i) {
    append_output(i, report.outputs[i], &out);
  }
  if (detailed) {
    for (const auto& delegate : report.delegates) {
      out += "delegate       " + delegate.json + "\n";
    }
  }
  return out;
}

Json to_json(const etvk_convolution& conv) {
  Json json = Json::object();
  json.set("node", conv.node).set("n", conv.n).set("c_in", conv.c_in).set("h_in", conv.h_in);
  json.set("w_in", conv.w_in).set("c_out", conv.c_out).set("h_out", conv.h_out);
  json.set("w_out", conv.w_out).set("kernel", pair_json(conv.kernel));
  json.set("stride", pair_json(conv.stride)).set("padding", pair_json(conv.padding));
  json.set("dilation", pair_json(conv.dilation)).set("groups", conv.groups);
  json.set("transposed", conv.transposed != 0);
  json.set("algorithm", algorithm_name(conv.algorithm));
  json.set("h_out_tile", conv.h_out_tile).set("w_out_tile", conv.w_out_tile);
  json.set("tile_count", conv.tile_count).set("dispatch_count", conv.dispatch_count);
  json.set("workspace_bytes", conv.workspace_bytes).set("moved_bytes", conv.moved_bytes);
  json.set("reason", reason_of(conv));
  return json;
}

Json to_json(const OutputReport& output) {
  Json dims = Json::array();
  for (const int32_t dim : output.dims) {
    dims.push(dim);
  }
  Json json = Json::object();
  json.set("shape", std::move(dims)).set("dtype", output.dtype);
  if (output.compared) {
    json.set("largest_difference", output.difference.largest);
    json.set("mean_difference", output.difference.mean);
    json.set("atol", output.tolerance.atol).set("rtol", output.tolerance.rtol);
    json.set("mean_atol", output.tolerance.has_mean ? Json(output.tolerance.mean_atol) : Json());
    json.set("within", output.difference.within).set("worst", output.difference.worst);
  }
  return json;
}

Json to_json(const RunReport& report, const Backend& backend) {
  Json json = Json::object();
  json.set("model", report.model).set("method", report.method);
  json.set("etvk_version", backend.version());
  json.set("device",
           report.delegates.empty() ? Json() : Json(report.delegates[0].device));
  json.set("load_ms", report.load_ms).set("first_ms", report.first_ms);
  json.set("steady_ms", report.steady_ms.empty() ? Json() : Json(median(report.steady_ms)));
  Json steady = Json::array();
  for (const double ms : report.steady_ms) {
    steady.push(ms);
  }
  json.set("steady_runs_ms", std::move(steady));
  json.set("memory", memory_json(total_memory(report.delegates)));
  const auto commands = total_commands(report.delegates);
  json.set("dispatches", commands.first).set("barriers", commands.second);
  Json delegates = Json::array();
  Json convolutions = Json::array();
  for (const auto& delegate : report.delegates) {
    delegates.push(delegate_json(delegate));
    for (const auto& conv : delegate.convolutions) {
      convolutions.push(to_json(conv));
    }
  }
  json.set("convolutions", std::move(convolutions)).set("delegates", std::move(delegates));
  Json outputs = Json::array();
  for (const auto& output : report.outputs) {
    outputs.push(to_json(output));
  }
  json.set("outputs", std::move(outputs));
  return json;
}

}  // namespace etvk_run
