// What a run tells: device, times, convolutions, memory, differences. As text and as JSON.
#pragma once

#include <string>
#include <vector>

#include "runner_backend.h"
#include "runner_json.h"
#include "runner_tensor.h"

namespace etvk_run {

struct DelegateReport {
  std::string device;
  etvk_memory memory{};
  std::vector<etvk_convolution> convolutions;
  std::string json;  // etvk_delegate_report
};

struct OutputReport {
  std::vector<int32_t> dims;
  std::string dtype;
  bool compared = false;
  Tolerance tolerance;
  Difference difference;
};

struct RunReport {
  std::string model;
  std::string method;
  double load_ms = 0;
  double first_ms = 0;
  std::vector<double> steady_ms;  // of the runs after the first; may be empty
  std::vector<OutputReport> outputs;
  std::vector<DelegateReport> delegates;
};

// Asks every delegate that lives in this process now.
std::vector<DelegateReport> delegate_reports(const Backend& backend);

// Sums over delegates. A workspace that delegates share is counted once by the library.
etvk_memory total_memory(const std::vector<DelegateReport>& delegates);

double median(std::vector<double> values);
// "0.5 KiB", "12.0 MiB".
std::string bytes_text(uint64_t bytes);

// `detailed` adds why each algorithm was chosen and the delegates' own reports.
std::string to_text(const RunReport& report, bool detailed);
Json to_json(const RunReport& report, const Backend& backend);
Json to_json(const OutputReport& output);
Json to_json(const etvk_convolution& conv);

}  // namespace etvk_run
