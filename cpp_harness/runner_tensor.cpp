#include "runner_tensor.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <stdexcept>

namespace etvk_run {

using executorch::aten::ScalarType;

namespace {

struct TypeInfo {
  const char* name;
  ScalarType dtype;
  size_t bytes;
};

constexpr TypeInfo kTypes[] = {
    {"float32", ScalarType::Float, 4}, {"float16", ScalarType::Half, 2},
    {"float64", ScalarType::Double, 8}, {"int64", ScalarType::Long, 8},
    {"int32", ScalarType::Int, 4},     {"int16", ScalarType::Short, 2},
    {"int8", ScalarType::Char, 1},     {"uint8", ScalarType::Byte, 1},
    {"bool", ScalarType::Bool, 1},
};

const TypeInfo& type_info(ScalarType dtype) {
  for (const auto& type : kTypes) {
    if (type.dtype == dtype) {
      return type;
    }
  }
  throw std::runtime_error("scalar type " + std::to_string(static_cast<int>(dtype)) +
                           " is not known to the harness");
}

double half_to_double(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1F;
  const int mantissa = bits & 0x3FF;
  double value = 0;
  if (exponent == 0x1F) {
    value = mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                          : std::numeric_limits<double>::infinity();
  } else if (exponent == 0) {
    value = std::ldexp(mantissa, -24);
  } else {
    value = std::ldexp(mantissa + 1024, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

uint16_t half_from_unit(double value) {
  // For values in [0, 1) only: the nearest multiple of 2^-11 is exact in a half.
  const int scaled = static_cast<int>(value * 2048);
  if (scaled == 0) {
    return 0;
  }
  int exponent = 0;
  std::frexp(scaled, &exponent);  // scaled = m * 2^exponent, m in [0.5, 1)
  const int mantissa = (scaled << (11 - exponent)) & 0x3FF;
  return static_cast<uint16_t>(((exponent - 11 + 14) << 10) | mantissa);
}

template <typename T>
double load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return static_cast<double>(value);
}

template <typename T>
void store(uint8_t* bytes, T value) {
  std::memcpy(bytes, &value, sizeof(value));
}

double element(const HostTensor& tensor, size_t index) {
  const uint8_t* at = tensor.bytes.data() + index * element_bytes(tensor.dtype);
  switch (tensor.dtype) {
    case ScalarType::Float:
      return load<float>(at);
    case ScalarType::Double:
      return load<double>(at);
    case ScalarType::Long:
      return load<int64_t>(at);
    case ScalarType::Int:
      return load<int32_t>(at);
    case ScalarType::Short:
      return load<int16_t>(at);
    case ScalarType::Char:
      return load<int8_t>(at);
    case ScalarType::Half: {
      uint16_t bits;
      std::memcpy(&bits, at, sizeof(bits));
      return half_to_double(bits);
    }
    default:
      return load<uint8_t>(at);
  }
}

std::string index_text(size_t flat, const std::vector<int32_t>& dims) {
  std::string text;
  for (size_t i = dims.size(); i-- > 0;) {
    const size_t size = static_cast<size_t>(dims[i]);
    text = std::to_string(flat % size) + (text.empty() ? "" : ", ") + text;
    flat /= size;
  }
  return "[" + text + "]";
}

}  // namespace

ScalarType dtype_from_name(const std::string& name) {
  for (const auto& type : kTypes) {
    if (name == type.name) {
      return type.dtype;
    }
  }
  throw std::runtime_error("dtype \"" + name + "\" is not known to the harness");
}

const char* dtype_name(ScalarType dtype) { return type_info(dtype).name; }

size_t element_bytes(ScalarType dtype) { return type_info(dtype).bytes; }

std::string dims_text(const std::vector<int32_t>& dims) {
  std::string text;
  for (const int32_t dim : dims) {
    text += (text.empty() ? "" : "x") + std::to_string(dim);
  }
  return text.empty() ? "scalar" : text;
}

std::vector<int32_t> parse_dims(const std::string& text) {
  std::vector<int32_t> dims;
  if (text == "scalar") {
    return dims;
  }
  size_t start = 0;
  while (start <= text.size()) {
    const size_t end = std::min(text.find('x', start), text.size());
    const std::string part = text.substr(start, end - start);
    if (part.empty() || part.size() > 9 ||
        part.find_first_not_of("0123456789") != std::string::npos) {
      throw std::runtime_error("shape \"" + text + "\" is not of the form 1x3x64x64");
    }
    dims.push_back(std::stoi(part));
    start = end + 1;
  }
  return dims;
}

size_t element_count(const std::vector<int32_t>& dims) {
  size_t count = 1;
  for (const int32_t dim : dims) {
    if (dim < 0 || __builtin_mul_overflow(count, static_cast<size_t>(dim), &count)) {
      throw std::runtime_error("shape " + dims_text(dims) + " is not a tensor's");
    }
  }
  return count;
}

std::vector<uint8_t> contiguous_order(size_t rank) {
  std::vector<uint8_t> order(rank);
  for (size_t i = 0; i < rank; ++i) {
    order[i] = static_cast<uint8_t>(i);
  }
  return order;
}

std::vector<double> to_doubles(const HostTensor& tensor) {
  const size_t rank = tensor.dims.size();
  const size_t count = element_count(tensor.dims);
  if (tensor.dim_order.size() != rank ||
      tensor.bytes.size() != count * element_bytes(tensor.dtype)) {
    throw std::runtime_error("a tensor's bytes do not fit its shape " + dims_text(tensor.dims));
  }
  // Strides in memory, of each dimension.
  std::vector<size_t> strides(rank);
  size_t stride = 1;
  for (size_t i = rank; i-- > 0;) {
    strides.at(tensor.dim_order[i]) = stride;
    stride *= static_cast<size_t>(tensor.dims.at(tensor.dim_order[i]));
  }
  std::vector<double> values(count);
  std::vector<size_t> position(rank, 0);
  size_t offset = 0;
  for (size_t flat = 0; flat < count; ++flat) {
    values[flat] = element(tensor, offset);
    for (size_t i = rank; i-- > 0;) {
      offset += strides[i];
      if (++position[i] < static_cast<size_t>(tensor.dims[i])) {
        break;
      }
      offset -= strides[i] * position[i];
      position[i] = 0;
    }
  }
  return values;
}

Tolerance default_tolerance(const HostTensor& want) {
  double largest = 0;
  for (const double value : to_doubles(want)) {
    if (std::isfinite(value)) {
      largest = std::max(largest, std::fabs(value));
    }
  }
  return {1e-4 * largest, 1e-3, 2e-5 * largest, true};
}

Difference compare(const HostTensor& got, const HostTensor& want, const Tolerance& tolerance) {
  if (got.dims != want.dims) {
    throw std::runtime_error("shape " + dims_text(got.dims) + ", expected " +
                             dims_text(want.dims));
  }
  const auto got_values = to_doubles(got);
  const auto want_values = to_doubles(want);
  Difference difference;
  difference.within = true;
  double sum = 0;
  double worst_excess = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < got_values.size(); ++i) {
    const double g = got_values[i];
    const double w = want_values[i];
    // Equal infinities and two NaNs agree; a NaN against a number is infinitely wrong.
    double off = 0;
    if (!(g == w || (std::isnan(g) && std::isnan(w)))) {
      off = std::fabs(g - w);
      off = std::isnan(off) ? std::numeric_limits<double>::infinity() : off;
    }
    const double allowed =
        tolerance.atol + (std::isfinite(w) ? tolerance.rtol * std::fabs(w) : 0);
    sum += off;
    difference.largest = std::max(difference.largest, off);
    difference.within = difference.within && off <= allowed;
    if (off - allowed > worst_excess) {
      worst_excess = off - allowed;
      char text[160];
      std::snprintf(text, sizeof(text), " got %.9g, want %.9g, off %.3g of %.3g allowed", g, w,
                    off, allowed);
      difference.worst = index_text(i, got.dims) + text;
    }
  }
  difference.mean = got_values.empty() ? 0 : sum / static_cast<double>(got_values.size());
  if (tolerance.has_mean && !(difference.mean <= tolerance.mean_atol)) {
    difference.within = false;
  }
  return difference;
}

std::vector<uint8_t> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) {
    throw std::runtime_error(path + ": cannot be opened");
  }
  const std::streamoff size = file.tellg();
  if (size < 0) {
    throw std::runtime_error(path + ": is not a readable file");
  }
  std::vector<uint8_t> bytes(static_cast<size_t>(size));
  file.seekg(0);
  if (size > 0 && !file.read(reinterpret_cast<char*>(bytes.data()), size)) {
    throw std::runtime_error(path + ": cannot be read");
  }
  return bytes;
}

void write_file(const std::string& path, const std::vector<uint8_t>& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) {
    throw std::runtime_error(path + ": cannot be written");
  }
}

HostTensor read_raw(const std::string& path, ScalarType dtype, std::vector<int32_t> dims,
                    std::vector<uint8_t> dim_order) {
  HostTensor tensor{dtype, std::move(dims), std::move(dim_order), read_file(path)};
  const size_t wanted = element_count(tensor.dims) * element_bytes(dtype);
  if (tensor.bytes.size() != wanted) {
    throw std::runtime_error(path + ": " + std::to_string(tensor.bytes.size()) + " bytes, but " +
                             dims_text(tensor.dims) + " of " + dtype_name(dtype) + " has " +
                             std::to_string(wanted));
  }
  return tensor;
}

HostTensor filled(ScalarType dtype, std::vector<int32_t> dims, uint32_t seed) {
  const size_t count = element_count(dims);
  const size_t size = element_bytes(dtype);
  HostTensor tensor{dtype, std::move(dims), {}, std::vector<uint8_t>(count * size)};
  tensor.dim_order = contiguous_order(tensor.dims.size());
  uint32_t state = seed * 2654435761U + 1;
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525U + 1013904223U;
    const double value = (state >> 8) / 16777216.0;
    uint8_t* at = tensor.bytes.data() + i * size;
    if (dtype == ScalarType::Float) {
      store(at, static_cast<float>(value));
    } else if (dtype == ScalarType::Double) {
      store(at, value);
    } else if (dtype == ScalarType::Half) {
      store(at, half_from_unit(value));
    } else if (value >= 0.5) {
      *at = 1;  // integers and booleans: 0 or 1, little-endian
    }
  }
  return tensor;
}

}  // namespace etvk_run
