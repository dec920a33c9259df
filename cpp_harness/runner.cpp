// etvk_run: runs .pte files in the stock ExecuTorch runtime with etvk as VulkanBackend.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "runner_case.h"
#include "runner_flags.h"
#include "runner_png.h"
#include "runner_report.h"
#include "runner_session.h"
#include "runner_trace.h"

namespace etvk_run {
namespace {

constexpr char kUsage[] =
    R"(etvk_run MODEL.pte [options]       run one program and report
etvk_run --case DIR [--case DIR]... [--json]   check stock cases against their manifests

  --input FILE       next input: raw little-endian data, or a .png as float NCHW in [0, 1];
                     inputs that are not given get deterministic values in [0, 1)
  --shape 1x3x64x64  shape of the next raw input, for programs of dynamic shape
  --output FILE      write the next output: raw data, or a .png
  --expect FILE      compare the next output with raw data; exit status 1 when it is off
  --atol A --rtol R --mean-atol M
                     |got - want| <= A + R |want| and its mean <= M; by default 1e-4, 1e-3 and
                     2e-5 of the largest expected value
  --method NAME      method to run (default forward, or the first one)
  --data FILE.ptd    external constants
  --option KEY=VALUE option of the backend, for example workspace_bytes=1048576
  --repeat N         runs after the first, for the steady time (default 5)
  --trace FILE       write what every dispatch took on the GPU, for ui.perfetto.dev
  --etdump FILE      write ExecuTorch's profile, for its Inspector; both turn profiling on
  --backend FILE     backend library, when it is not beside this program
  --json             one JSON object on stdout
  --report           also why each algorithm was chosen, and the delegates' own reports
)";

struct Arguments {
  ProgramFiles files;
  std::vector<std::string> inputs, outputs, expected, shapes, cases;
  std::string backend, trace, etdump;
  Tolerance tolerance;
  bool has_atol = false;
  bool has_rtol = false;
  int repeat = 5;
  bool json = false;
  bool detailed = false;
};

Arguments parse_arguments(int argc, char** argv) {
  Arguments arguments;
  Flags flags(argc, argv);
  while (flags.next()) {
    const std::string flag = flags.flag();
    if (flag == "--input") {
      arguments.inputs.push_back(flags.value());
    } else if (flag == "--output") {
      arguments.outputs.push_back(flags.value());
    } else if (flag == "--expect") {
      arguments.expected.push_back(flags.value());
    } else if (flag == "--shape") {
      arguments.shapes.push_back(flags.value());
    } else if (flag == "--case") {
      arguments.cases.push_back(flags.value());
    } else if (flag == "--method") {
      arguments.files.method = flags.value();
    } else if (flag == "--data") {
      arguments.files.data.push_back(flags.value());
    } else if (flag == "--backend") {
      arguments.backend = flags.value();
    } else if (flag == "--trace") {
      arguments.trace = flags.value();
    } else if (flag == "--etdump") {
      arguments.etdump = flags.value();
    } else if (flag == "--atol") {
      arguments.tolerance.atol = flags.number();
      arguments.has_atol = true;
    } else if (flag == "--rtol") {
      arguments.tolerance.rtol = flags.number();
      arguments.has_rtol = true;
    } else if (flag == "--mean-atol") {
      arguments.tolerance.mean_atol = flags.number();
      arguments.tolerance.has_mean = true;
    } else if (flag == "--repeat") {
      arguments.repeat = static_cast<int>(flags.number());
    } else if (flag == "--option") {
      arguments.files.options.push_back(flags.option());
    } else if (flag == "--json") {
      arguments.json = true;
    } else if (flag == "--report") {
      arguments.detailed = true;
    } else if (flag.compare(0, 1, "-") == 0) {
      throw UsageError(flag + ": unknown option");
    } else if (arguments.files.model.empty()) {
      arguments.files.model = flag;
    } else {
      throw UsageError(flag + ": a second model");
    }
  }
  const auto is_profile = [](const auto& option) { return option.first == "profile"; };
  auto& options = arguments.files.options;
  if ((!arguments.trace.empty() || !arguments.etdump.empty()) &&
      std::none_of(options.begin(), options.end(), is_profile)) {
    options.emplace_back("profile", "1");
  }
  if (arguments.cases.empty() == arguments.files.model.empty()) {
    throw UsageError("give either one MODEL.pte or --case");
  }
  return arguments;
}

std::vector<HostTensor> make_inputs(const Arguments& arguments, const Session& session) {
  const auto& metas = session.inputs();
  if (arguments.inputs.size() > metas.size() || arguments.shapes.size() > metas.size()) {
    throw UsageError("the program has " + std::to_string(metas.size()) + " input(s)");
  }
  std::vector<HostTensor> inputs;
  for (size_t i = 0; i < metas.size(); ++i) {
    const InputMeta& meta = metas[i];
    const std::string path = i < arguments.inputs.size() ? arguments.inputs[i] : "";
    auto dims = i < arguments.shapes.size() ? parse_dims(arguments.shapes[i]) : meta.dims;
    if (is_png_name(path)) {
      if (meta.dims.size() != 4 || meta.dtype != executorch::aten::ScalarType::Float) {
        throw UsageError(path + ": input " + std::to_string(i) + " is not a float image");
      }
      inputs.push_back(read_png(path, meta.dims[1]));
    } else if (!path.empty()) {
      inputs.push_back(read_raw(path, meta.dtype, std::move(dims), meta.dim_order));
    } else {
      inputs.push_back(filled(meta.dtype, std::move(dims), static_cast<uint32_t>(i)));
    }
  }
  return inputs;
}

Tolerance tolerance_for(const Arguments& arguments, const HostTensor& want) {
  Tolerance tolerance = default_tolerance(want);
  if (arguments.has_atol) {
    tolerance.atol = arguments.tolerance.atol;
  }
  if (arguments.has_rtol) {
    tolerance.rtol = arguments.tolerance.rtol;
  }
  if (arguments.tolerance.has_mean) {
    tolerance.mean_atol = arguments.tolerance.mean_atol;
  }
  return tolerance;
}

int run_model(const Arguments& arguments, const Backend& backend) {
  Session session(arguments.files, backend,
                  arguments.etdump.empty() ? nullptr : new_etdump());
  Trace trace;
  const auto inputs = make_inputs(arguments, session);
  RunReport report;
  report.model = arguments.files.model;
  report.method = session.method();
  report.load_ms = session.load_ms();
  const auto outputs = session.run(inputs, &report.first_ms);
  if (!arguments.trace.empty()) {
    trace.add_run(backend, report.first_ms);
  }
  if (arguments.outputs.size() > outputs.size() || arguments.expected.size() > outputs.size()) {
    throw UsageError("the program has " + std::to_string(outputs.size()) + " output(s)");
  }
  for (int i = 0; i < arguments.repeat; ++i) {
    double ms = 0;
    session.run(inputs, &ms);
    report.steady_ms.push_back(ms);
    if (!arguments.trace.empty()) {
      trace.add_run(backend, ms);
    }
  }
  if (!arguments.trace.empty()) {
    trace.write(arguments.trace);
  }
  if (!arguments.etdump.empty()) {
    write_etdump(session.tracer(), arguments.etdump);
  }
  bool within = true;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const HostTensor& got = outputs[i];
    OutputReport output;
    output.dims = got.dims;
    output.dtype = dtype_name(got.dtype);
    if (i < arguments.expected.size()) {
      const auto want = read_raw(arguments.expected[i], got.dtype, got.dims, got.dim_order);
      output.compared = true;
      output.tolerance = tolerance_for(arguments, want);
      output.difference = compare(got, want, output.tolerance);
      within = within && output.difference.within;
    }
    if (i < arguments.outputs.size()) {
      const std::string& path = arguments.outputs[i];
      if (is_png_name(path)) {
        write_png(path, got);
      } else {
        write_file(path, got.bytes);
      }
    }
    report.outputs.push_back(std::move(output));
  }
  report.delegates = delegate_reports(backend);
  if (arguments.json) {
    std::printf("%s\n", to_json(report, backend).dump().c_str());
  } else {
    std::printf("%s", to_text(report, arguments.detailed).c_str());
  }
  return within ? 0 : 1;
}

int run_cases(const Arguments& arguments, const Backend& backend) {
  Json cases = Json::array();
  bool passed = true;
  for (const auto& folder : arguments.cases) {
    auto result = run_case({folder, arguments.files.options, arguments.json}, backend);
    passed = passed && result.verdict == Verdict::Passed;
    cases.push(std::move(result.json));
  }
  if (arguments.json) {
    std::printf("%s\n", Json::object().set("cases", std::move(cases)).dump().c_str());
  }
  return passed ? 0 : 1;
}

int main_guarded(int argc, char** argv) {
  try {
    const Arguments arguments = parse_arguments(argc, argv);
    const Backend backend = load_backend(arguments.backend);
    return arguments.cases.empty() ? run_model(arguments, backend)
                                   : run_cases(arguments, backend);
  } catch (const UsageError& error) {
    std::fprintf(stderr, "etvk_run: %s\n\n%s", error.what(), kUsage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "etvk_run: %s\n", error.what());
    return 1;
  }
}

}  // namespace
}  // namespace etvk_run

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
    std::fputs(etvk_run::kUsage, stdout);
    return 0;
  }
  return etvk_run::main_guarded(argc, argv);
}
