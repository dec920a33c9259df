#include "runner_case.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "runner_manifest.h"
#include "runner_report.h"
#include "runner_tensor.h"

namespace etvk_run {
namespace {

class CaseRun {
 public:
  CaseRun(const CaseRequest& request, const Backend& backend)
      : request_(request), backend_(backend) {
    name_ = case_name(request.folder);
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

  void dump(const std::vector<HostTensor>& outputs, size_t run) const {
    if (request_.dump.empty()) {
      return;
    }
    const std::string folder = request_.dump + "/" + name_;
    std::filesystem::create_directories(folder);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const std::string name = "run" + std::to_string(run) + "_out" + std::to_string(i) + ".bin";
      write_file(folder + "/" + name, outputs[i].bytes);
    }
  }

  Verdict run_all() {
    const Json manifest = read_manifest(request_.folder);
    ProgramFiles files = program_files(request_.folder, manifest);
    files.options = request_.options;
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
    dump(outputs, index);
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
