#include "runner_trace.h"

#include <dlfcn.h>

#include <cstdio>
#include <stdexcept>

#include "runner_report.h"

namespace etvk_run {
namespace {

constexpr int kHostTrack = 1;
constexpr char kEtdump[] = "libetvk_run_etdump.so";

Json track_name(int track, const std::string& name) {
  return Json::object().set("ph", "M").set("name", "thread_name").set("pid", 1).set("tid", track)
      .set("args", Json::object().set("name", name));
}

template <typename Function>
Function etdump_function(const char* name) {
  static void* library = dlopen((executable_folder() + "/" + kEtdump).c_str(), RTLD_NOW | RTLD_LOCAL);
  void* symbol = library == nullptr ? nullptr : dlsym(library, name);
  if (symbol == nullptr) {
    throw std::runtime_error(std::string(kEtdump) + ": " + dlerror());
  }
  return reinterpret_cast<Function>(symbol);
}

}  // namespace

void Trace::add(const std::string& name, int track, double start_us, double us, Json arguments) {
  events_.push(Json::object().set("ph", "X").set("name", name).set("pid", 1).set("tid", track)
                   .set("ts", start_us).set("dur", us).set("args", std::move(arguments)));
}

void Trace::add_run(const Backend& backend, double ms) {
  const auto delegates = delegate_reports(backend);
  double gpu_us = now_us_;
  for (size_t i = 0; i < delegates.size(); ++i) {
    const int track = kHostTrack + 1 + static_cast<int>(i);
    if (!named_) {
      events_.push(track_name(track, "delegate " + std::to_string(i) + ", GPU " +
                                         delegates[i].device));
    }
    const Json report = Json::parse(delegates[i].json);
    if (report["profile"].is_null()) {
      continue;
    }
    for (const auto& dispatch : report["profile"]["dispatches"].items()) {
      const double us = dispatch["gpu_us"].number();
      const Json& label = dispatch["operator"].is_null() ? dispatch["kernel"] : dispatch["operator"];
      add(label.string(), track, gpu_us, us,
          Json::object().set("node", dispatch["node"]).set("kernel", dispatch["kernel"])
              .set("workgroups", dispatch["workgroups"]));
      gpu_us += us;
    }
  }
  if (!named_) {
    events_.push(track_name(kHostTrack, "host"));
    named_ = true;
  }
  add("execute", kHostTrack, now_us_, ms * 1e3, Json::object());
  now_us_ += ms * 1e3;
}

void Trace::write(const std::string& path) const {
  const std::string text =
      Json::object().set("displayTimeUnit", "ns").set("traceEvents", events_).dump();
  std::FILE* file = std::fopen(path.c_str(), "wb");
  const bool written =
      file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file == nullptr || std::fclose(file) != 0 || !written) {
    throw std::runtime_error(path + ": cannot be written");
  }
}

std::unique_ptr<executorch::runtime::EventTracer> new_etdump() {
  using New = executorch::runtime::EventTracer* (*)();
  return std::unique_ptr<executorch::runtime::EventTracer>(
      etdump_function<New>("etvk_run_etdump_new")());
}

void write_etdump(executorch::runtime::EventTracer* tracer, const std::string& path) {
  using Write = bool (*)(executorch::runtime::EventTracer*, const char*);
  if (!etdump_function<Write>("etvk_run_etdump_write")(tracer, path.c_str())) {
    throw std::runtime_error(path + ": cannot be written");
  }
}

}  // namespace etvk_run
