// Tensors in host memory: files, element types, comparison.
#pragma once

#include <executorch/runtime/core/exec_aten/exec_aten.h>

#include <cstdint>
#include <string>
#include <vector>

namespace etvk_run {

// A tensor's bytes lie row-major in `dim_order`: its outermost dimension first.
struct HostTensor {
  executorch::aten::ScalarType dtype = executorch::aten::ScalarType::Float;
  std::vector<int32_t> dims;
  std::vector<uint8_t> dim_order;
  std::vector<uint8_t> bytes;
};

// |got - want| <= atol + rtol * |want| everywhere, and their mean at most mean_atol.
struct Tolerance {
  double atol = 0;
  double rtol = 0;
  double mean_atol = 0;
  bool has_mean = false;
};

struct Difference {
  bool within = false;
  double largest = 0;  // of |got - want|; infinite where only one of them is a number
  double mean = 0;
  std::string worst;  // index, both values and what is allowed, of the element furthest off
};

// "float32" and so on; throws on a name or type that the harness does not know.
executorch::aten::ScalarType dtype_from_name(const std::string& name);
const char* dtype_name(executorch::aten::ScalarType dtype);
size_t element_bytes(executorch::aten::ScalarType dtype);

// "1x3x64x64", also of no dimensions: "scalar".
std::string dims_text(const std::vector<int32_t>& dims);
std::vector<int32_t> parse_dims(const std::string& text);
size_t element_count(const std::vector<int32_t>& dims);
std::vector<uint8_t> contiguous_order(size_t rank);

// The elements as doubles, row-major in the order of `dims` whatever the dim_order is.
std::vector<double> to_doubles(const HostTensor& tensor);

// What the manifests of the stock cases use for fp32: 1e-4, 1e-3 and 2e-5 of the largest value.
Tolerance default_tolerance(const HostTensor& want);

// Throws when the shapes differ.
Difference compare(const HostTensor& got, const HostTensor& want, const Tolerance& tolerance);

// Whole files; both throw with the path.
std::vector<uint8_t> read_file(const std::string& path);
void write_file(const std::string& path, const std::vector<uint8_t>& bytes);

// Reads raw data, which must have exactly the size of dims and dtype.
HostTensor read_raw(const std::string& path, executorch::aten::ScalarType dtype,
                    std::vector<int32_t> dims, std::vector<uint8_t> dim_order);

// Deterministic values in [0, 1), for a program run without inputs.
HostTensor filled(executorch::aten::ScalarType dtype, std::vector<int32_t> dims, uint32_t seed);

}  // namespace etvk_run
