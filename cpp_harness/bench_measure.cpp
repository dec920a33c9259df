#include "bench_measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <stdexcept>

#include "runner_manifest.h"
#include "runner_report.h"
#include "runner_session.h"

namespace etvk_run {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

struct Expected {
  HostTensor tensor;
  Tolerance tolerance;
};

struct Case {
  ProgramFiles files;
  std::vector<HostTensor> inputs;
  std::vector<Expected> outputs;
};

Case read_case(const std::string& folder, const BenchSettings& settings) {
  const Json manifest = read_manifest(folder);
  if (manifest["runs"].items().empty()) {
    throw std::runtime_error("the manifest has no runs");
  }
  const Json& run = manifest["runs"].items()[0];
  Case read{program_files(folder, manifest), {}, {}};
  read.files.options = settings.options;
  for (const auto& entry : run["inputs"].items()) {
    read.inputs.push_back(read_tensor(folder, entry));
  }
  for (const auto& entry : run["outputs"].items()) {
    read.outputs.push_back({read_tensor(folder, entry), read_tolerance(entry)});
  }
  return read;
}

ProgramFiles with_option(ProgramFiles files, const std::string& key, const std::string& value) {
  files.options.emplace_back(key, value);
  return files;
}

void compare_outputs(const Case& expected, const std::vector<HostTensor>& got, Json* row) {
  if (got.size() != expected.outputs.size()) {
    throw std::runtime_error(std::to_string(got.size()) + " outputs, expected " +
                             std::to_string(expected.outputs.size()));
  }
  double largest = 0;
  double scale = 0;
  std::string worst;
  for (size_t i = 0; i < got.size(); ++i) {
    const Expected& want = expected.outputs[i];
    const Difference difference = compare(got[i], want.tensor, want.tolerance);
    largest = std::max(largest, difference.largest);
    for (const double value : to_doubles(want.tensor)) {
      scale = std::max(scale, std::fabs(value));
    }
    if (!difference.within) {
      worst += (worst.empty() ? "output " : "; output ") + std::to_string(i) + " " +
               difference.worst;
    }
  }
  row->set("within", worst.empty()).set("largest_error", largest).set("error_scale", scale);
  if (!worst.empty()) {
    row->set("worst", worst);
  }
}

// Runs until the settings are satisfied; `after` is called after every run that counts.
void repeat(Session* session, const Case& given, const BenchSettings& settings,
            const std::function<void(double set_inputs_ms, double execute_ms)>& after) {
  auto start = Clock::now();
  do {
    session->set_inputs(given.inputs);
    session->execute();
  } while (ms_since(start) < settings.warm_ms);
  start = Clock::now();
  for (int i = 0; i < settings.repeat && (i < 3 || ms_since(start) < settings.most_ms); ++i) {
    const auto begin = Clock::now();
    session->set_inputs(given.inputs);
    const double set_inputs_ms = ms_since(begin);
    after(set_inputs_ms, session->execute());
  }
}

// The dispatches of one run, of all delegates; empty without timestamps.
struct GpuTimes {
  std::vector<double> dispatch_us;
  double total_ms = 0;
  double inner_ms = 0;
};

GpuTimes gpu_times(const std::vector<DelegateReport>& delegates, Json* dispatches) {
  GpuTimes times;
  *dispatches = Json::array();
  for (const auto& delegate : delegates) {
    const Json report = Json::parse(delegate.json);
    for (const auto& dispatch : report["profile"]["dispatches"].items()) {
      const double us = dispatch["gpu_us"].number();
      times.dispatch_us.push_back(us);
      times.total_ms += us / 1e3;
      times.inner_ms += dispatch["edge"].truth() ? 0 : us / 1e3;
      dispatches->push(dispatch);
    }
  }
  return times;
}

// Sums, where a timestamp after every dispatch does not keep neighbours from overlapping.
void profile_spans(const Case& given, const BenchSettings& settings, const Backend& backend,
                   Json* row) {
  Session session(with_option(given.files, "profile", "spans"), backend);
  std::vector<double> totals, inners;
  Json dispatches;
  repeat(&session, given, settings, [&](double, double) {
    const GpuTimes times = gpu_times(delegate_reports(backend), &dispatches);
    if (times.dispatch_us.empty()) {
      return;
    }
    totals.push_back(times.total_ms);
    inners.push_back(times.inner_ms);
  });
  row->set("gpu_ms", totals.empty() ? Json() : Json(median(totals)));
  row->set("gpu_inner_ms", inners.empty() ? Json() : Json(median(inners)));
  row->set("gpu_runs", totals.size());
}

// Where the time of the runtime's execute goes, by the library, summed over delegates: medians of
// a few runs.
Json host_parts(Session* session, const Case& given, const Backend& backend) {
  const std::vector<std::string> names = {"inputs_ms", "device_ms", "outputs_ms"};
  std::vector<std::vector<double>> parts(names.size());
  for (int i = 0; i < 9; ++i) {
    session->set_inputs(given.inputs);
    session->execute();
    std::vector<double> sums(names.size());
    for (const auto& delegate : delegate_reports(backend)) {
      const Json run = Json::parse(delegate.json)["run"];
      for (size_t n = 0; n < names.size(); ++n) {
        sums[n] += run[names[n]].number();
      }
    }
    for (size_t n = 0; n < names.size(); ++n) {
      parts[n].push_back(sums[n]);
    }
  }
  Json medians = Json::object();
  for (size_t n = 0; n < names.size(); ++n) {
    medians.set(names[n], median(parts[n]));
  }
  return medians;
}

void profile(const Case& given, const BenchSettings& settings, const Backend& backend, Json* row) {
  profile_spans(given, settings, backend, row);
  Session session(with_option(given.files, "profile", "1"), backend);
  std::vector<std::vector<double>> by_dispatch;
  Json dispatches;
  repeat(&session, given, settings, [&](double, double) {
    const GpuTimes times = gpu_times(delegate_reports(backend), &dispatches);
    if (times.dispatch_us.empty()) {
      return;
    }
    by_dispatch.resize(times.dispatch_us.size());
    for (size_t i = 0; i < times.dispatch_us.size(); ++i) {
      by_dispatch[i].push_back(times.dispatch_us[i]);
    }
  });
  Json medians = Json::array();
  for (size_t i = 0; i < by_dispatch.size(); ++i) {
    Json dispatch = dispatches.items()[i];
    dispatch.set("gpu_us", median(by_dispatch[i]));
    medians.push(std::move(dispatch));
  }
  row->set("dispatches", std::move(medians));
}

// The parts of a load that is over, summed over delegates.
Json load_phases(const std::vector<DelegateReport>& delegates) {
  Json sums = Json::object();
  for (const auto& delegate : delegates) {
    const Json report = Json::parse(delegate.json);
    for (const auto& part : report["load"].members()) {
      const Json& before = sums[part.first];
      sums.set(part.first, part.second.number() + (before.is_null() ? 0 : before.number()));
    }
  }
  return sums;
}

void load_with_cache(const Case& given, const BenchSettings& settings, const Backend& backend,
                     Json* row) {
  std::remove(settings.cache.c_str());
  const ProgramFiles files = with_option(given.files, "pipeline_cache", settings.cache);
  row->set("load_new_cache_ms", Session(files, backend).load_ms());
  {
    const Session cached(files, backend);
    row->set("load_cached_ms", cached.load_ms());
    row->set("load_cached_phases", load_phases(delegate_reports(backend)));
  }
  { const Session keeps(with_option(files, "keep_device", "1"), backend); }
  row->set("load_again_ms", Session(files, backend).load_ms());
  etvk_release_devices();
  std::remove(settings.cache.c_str());
}

}  // namespace

Json measure(const std::string& folder, const BenchSettings& settings, const Backend& backend) {
  const Case given = read_case(folder, settings);
  Json row = Json::object();
  row.set("case", case_name(folder));
  {
    Session session(given.files, backend);
    double first_ms = 0;
    const auto outputs = session.run(given.inputs, &first_ms);
    const auto delegates = delegate_reports(backend);
    row.set("device", delegates.empty() ? Json() : Json(delegates[0].device));
    row.set("etvk_version", backend.version());
    Json options = Json::object();
    for (const auto& option : settings.options) {
      options.set(option.first, option.second);
    }
    row.set("options", std::move(options));
    compare_outputs(given, outputs, &row);
    const etvk_memory memory = total_memory(delegates);
    row.set("workspace_bytes", memory.workspace_bytes);
    row.set("workspace_budget_bytes", memory.workspace_budget_bytes);
    row.set("driver_bytes", memory.driver_bytes);
    row.set("driver_allocations", memory.driver_allocations);
    Json convolutions = Json::array();
    for (const auto& delegate : delegates) {
      for (const auto& convolution : delegate.convolutions) {
        convolutions.push(to_json(convolution));
      }
    }
    row.set("convolutions", std::move(convolutions));
    row.set("load_ms", session.load_ms()).set("first_ms", first_ms);
    row.set("load_phases", load_phases(delegates));
    std::vector<double> host, set_inputs;
    repeat(&session, given, settings, [&](double set_inputs_ms, double execute_ms) {
      set_inputs.push_back(set_inputs_ms);
      host.push_back(execute_ms);
    });
    row.set("host_ms", median(host));
    row.set("host_least_ms", *std::min_element(host.begin(), host.end()));
    row.set("host_runs", host.size()).set("set_inputs_ms", median(set_inputs));
    row.set("host_parts", host_parts(&session, given, backend));
  }
  profile(given, settings, backend, &row);
  if (!settings.cache.empty()) {
    load_with_cache(given, settings, backend, &row);
  }
  return row;
}

}  // namespace etvk_run
