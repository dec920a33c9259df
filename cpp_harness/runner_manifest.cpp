#include "runner_manifest.h"

#include <utility>
#include <vector>

namespace etvk_run {
namespace {

std::vector<int32_t> integers(const Json& array) {
  std::vector<int32_t> values;
  for (const auto& item : array.items()) {
    values.push_back(static_cast<int32_t>(item.number()));
  }
  return values;
}

}  // namespace

std::string case_name(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') {
    folder.pop_back();
  }
  return folder.substr(folder.rfind('/') == std::string::npos ? 0 : folder.rfind('/') + 1);
}

Json read_manifest(const std::string& folder) {
  const auto text = read_file(folder + "/manifest.json");
  return Json::parse(std::string(text.begin(), text.end()));
}

ProgramFiles program_files(const std::string& folder, const Json& manifest) {
  ProgramFiles files;
  files.model = folder + "/" + manifest["pte"].string();
  for (const auto& member : manifest["ptd_files"].members()) {
    files.data.push_back(folder + "/" + member.first);
  }
  return files;
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

}  // namespace etvk_run
