// What the adapter's tests in C++ share: a NamedDataMap over the fixture's files, and init as the
// runtime's Method calls it.
#pragma once

#include <executorch/runtime/backend/interface.h>

#include <string>
#include <vector>

#include "c_api_fixture.h"

// Counts what is not given back; must outlive the buffers.
class FixtureData final : public executorch::runtime::NamedDataMap {
 public:
  using Error = executorch::runtime::Error;
  using FreeableBuffer = executorch::runtime::FreeableBuffer;
  template <typename T>
  using Result = executorch::runtime::Result<T>;

  explicit FixtureData(const std::string& folder)
      : folder_(folder), named{folder_.c_str(), NAMED_PRESENT, 0, 0} {}
  FixtureData(const FixtureData&) = delete;
  FixtureData& operator=(const FixtureData&) = delete;

  Result<const executorch::runtime::TensorLayout> get_tensor_layout(
      std::string_view) const override {
    return Error::NotFound;
  }
  Result<FreeableBuffer> get_data(std::string_view key) const override {
    const void* data = nullptr;
    size_t size = 0;
    void* token = nullptr;
    if (fixture_named_get(&named, std::string(key).c_str(), &data, &size, &token) != 0) {
      return Error::InvalidExternalData;
    }
    return FreeableBuffer(
        data, size, [](void* context, void* at, size_t) { fixture_named_release(context, at); },
        &named);
  }
  Error load_data_into(std::string_view, void*, size_t) const override { return Error::NotFound; }
  Result<uint32_t> get_num_keys() const override { return Error::NotFound; }
  Result<const char*> get_key(uint32_t) const override { return Error::NotFound; }

 private:
  const std::string folder_;

 public:
  mutable Named named;
};

struct InitRequest {
  const FixtureData* data = nullptr;
  std::vector<executorch::runtime::CompileSpec> specs;
  std::vector<executorch::runtime::BackendOption> options;
};

// *freed: whether the delegate's data was given back.
inline executorch::runtime::Result<executorch::runtime::DelegateHandle*> fixture_init(
    executorch::runtime::BackendInterface* backend, const std::string& folder,
    const InitRequest& request, bool* freed) {
  const Bytes blob = fixture_bytes(folder.c_str(), "blob.bin");
  *freed = false;
  executorch::runtime::FreeableBuffer processed(
      blob.data, blob.size,
      [](void* was_freed, void* at, size_t) {
        std::free(at);
        *static_cast<bool*>(was_freed) = true;
      },
      freed);
  executorch::runtime::BackendInitContext context(
      nullptr, nullptr, "forward", request.data, {request.options.data(), request.options.size()});
  return backend->init(context, &processed, {request.specs.data(), request.specs.size()});
}
