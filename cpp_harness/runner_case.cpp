#include "runner_case.h"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

#include "runner_report.h"
#include "runner_tensor.h"

namespace etvk_run {
namespace {

struct ExpectedTensor {
  HostTensor tensor;
  Tolerance tolerance;
};

std::vector<int32_t> integers(const Json& array) {
  std::vector<int32_t> values;
  for (const auto& item : array.items()) {
    values.push_back(static_cast<int32_t>(item.number()));
  }
  return values;
}

HostTensor read_tensor(const std::string& folder, const Json& entry) {
  const auto order = integers(entry["dim_order"]);
  std::vector<int32_t> dims = integers(entry["shape"]);
  std::vector<uint8_t> dim_order(order.begin(), order.end());
  if (dim_order.empty()) {
    dim_order = contiguous_order(dims.size());
  }
  return read_raw(folder + "/" + entry["file"].string(), dtype_from_name(entry["dtype"].string()),
                  std::move(dims), std::move(dim_order));
}

Tolerance read_tolerance(const Json& entry) {
  Tolerance tolerance;
  tolerance.atol = entry["atol"].number();
  tolerance.rtol = entry["rtol"].number();
  tolerance.has_mean = !entry["mean_atol"].is_null();
  tolerance.mean_atol = tolerance.has_mean ? entry["mean_atol"].number() : 0;
  return tolerance;
}

class CaseRun {
 public:
  CaseRun(const CaseRequest& request, const Backend& backend)
      : request_(request), backend_(backend) {
    std::string folder = request.folder;
    while (folder.size() > 1 && folder.back() == '/') {
      folder.pop_back();
    }
    name_ = folder.substr(folder.rfind('/') == std::string::npos ? 0 : folder.rfind('/') + 1);
    runs_ = Json::array();
  }

  CaseResult execute() {
    Verdict verdict = Verdict::Failed;
    std::string message;
    try {
      verdict = run_all();
    } catch (const RuntimeError& error) {
      // Only a load may be refused: a program that loads has to run.
      verdict = !loaded_ && error.is_refusal() ? Verdict::Refused : Verdict::Failed;
      message = error.what();
    } catch (const std::exception& error) {
      message = error.what();
    }
    const char* word = verdict == Verdict::Passed   ? "PASS"
                       : verdict == Verdict::Failed ? "FAIL"
                                                    : "REFUSED";
    if (!message.empty()) {
      line(std::string(word) + " " + name_ + ": " + message);
    }
    line("DONE " + name_ + " " + word);
    Json json = Json::object();
    json.set("case", name_).set("verdict", word).set("runs", std::move(runs_));
    if (!message.empty()) {
      json.set("message", message);
    }
    return {verdict, std::move(json)};
  }

 private:
  void line(const std::string& text) const {
    if (!request_.quiet) {
      std::printf("%s\n", text.c_str());
      std::fflush(stdout);
    }
  }

  Verdict run_all() {
    const auto text = read_file(request_.folder + "/manifest.json");
    const Json manifest = Json::parse(std::string(text.begin(), text.end()));
    ProgramFiles files;
    files.model = request_.folder + "/" + manifest["pte"].string();
    files.options = request_.options;
    for (const auto& member : manifest["ptd_files"].members()) {
      files.data.push_back(request_.folder + "/" + member.first);
    }
    if (manifest["runs"].items().empty()) {
      throw std::runtime_error("the manifest has no runs");
    }
    Session session(files, backend_);
    loaded_ = true;
    bool passed = true;
    size_t index = 0;
    for (const auto& run : manifest["runs"].items()) {
      if (!run["method"].is_null()) {
        session.use_method(run["method"].string());
      }
      passed = run_one(&session, run, index++) && passed;
    }
    return passed ? Verdict::Passed : Verdict::Failed;
  }

  bool run_one(Session* session, const Json& run, size_t index) {
    std::vector<HostTensor> inputs;
    for (const auto& entry : run["inputs"].items()) {
      inputs.push_back(read_tensor(request_.folder, entry));
    }
    double ms = 0;
    const auto outputs = session->run(inputs, &ms);
    const auto& wanted = run["outputs"].items();
    if (outputs.size() != wanted.size()) {
      throw std::runtime_error(std::to_string(outputs.size()) + " outputs, expected " +
                               std::to_string(wanted.size()));
    }
    bool passed = true;
    double largest = 0;
    std::string worst;
    Json json_outputs = Json::array();
    for (size_t i = 0; i < outputs.size(); ++i) {
      OutputReport output{outputs[i].dims, dtype_name(outputs[i].dtype), true,
                          read_tolerance(wanted[i]), {}};
      output.difference =
          compare(outputs[i], read_tensor(request_.folder, wanted[i]), output.tolerance);
      largest = std::max(largest, output.difference.largest);
      if (!output.difference.within) {
        passed = false;
        char mean[64];
        std::snprintf(mean, sizeof(mean), ", mean %.3g of %.3g", output.difference.mean,
                      output.tolerance.mean_atol);
        worst += "; output " + std::to_string(i) + " " + output.difference.worst + mean;
      }
      json_outputs.push(to_json(output));
    }
    char text[160];
    std::snprintf(text, sizeof(text), " run %zu: largest difference %.3g, %.1f ms", index, largest,
                  ms);
    line(std::string(passed ? "PASS " : "FAIL ") + name_ + text + worst);
    Json json = Json::object();
    json.set("run", index).set("passed", passed).set("ms", ms);
    json.set("outputs", std::move(json_outputs));
    runs_.push(std::move(json));
    return passed;
  }

  const CaseRequest& request_;
  const Backend& backend_;
  std::string name_;
  Json runs_;
  bool loaded_ = false;
};

}  // namespace

CaseResult run_case(const CaseRequest& request, const Backend& backend) {
  return CaseRun(request, backend).execute();
}

}  // namespace etvk_run
