#include "backend_places.h"

#include <algorithm>

#include "backend_convert.h"

namespace etvk_backend {

using executorch::aten::Tensor;
using executorch::runtime::EValue;
using executorch::runtime::Span;

namespace {

// Whether `arg` can be at `port`: as large (outputs come at their bound), or no larger.
bool may_be(const EValue& arg, const etvk_port& port, bool exactly) {
  if (port.kind == ETVK_PORT_INTEGER || !arg.isTensor()) {
    return port.kind == ETVK_PORT_INTEGER && (arg.isInt() || arg.isTensor());
  }
  const Tensor& tensor = arg.toTensor();
  uint32_t dtype = 0;
  bool same = dtype_from_scalar_type(tensor.scalar_type(), &dtype) &&
              etvk_dtype_fits(dtype, port.dtype) != 0 && static_cast<size_t>(tensor.dim()) == port.rank;
  for (uint32_t i = 0; i < port.rank && same; ++i) {
    const uint32_t size = static_cast<uint32_t>(tensor.size(static_cast<ssize_t>(i)));
    same = exactly ? size == port.max_dims[i] : size <= port.max_dims[i];
  }
  return same;
}

using Ways = std::vector<std::vector<int>>;

Ways no_ways(size_t args, size_t ports) {
  return Ways(args + 1, std::vector<int>(ports + 2, 0));
}

int up_to_two(ptrdiff_t n) { return static_cast<int>(std::min<ptrdiff_t>(n, 2)); }

}  // namespace

bool place_arguments(const Span<EValue*>& args, const std::vector<etvk_port>& inputs,
                     const std::vector<etvk_port>& outputs, Places* places) {
  *places = {};
  const size_t size = args.size();
  if (size < inputs.size() + outputs.size()) {
    return false;
  }
  if (size == inputs.size() + outputs.size()) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      places->inputs.push_back(i);
    }
    places->first_output = inputs.size();
    for (size_t i = 0; i < outputs.size(); ++i) {
      places->outputs.push_back(i);
    }
    return true;
  }
  const auto is_input = [&](size_t i, size_t k) {
    return k < inputs.size() && may_be(*args[i], inputs[k], false);
  };
  const auto is_output = [&](size_t i, size_t n) {
    return n < outputs.size() && may_be(*args[i], outputs[n], true);
  };
  const auto repeats = [&](size_t i, size_t n) {
    return std::count_if(outputs.begin(), outputs.begin() + static_cast<ptrdiff_t>(n),
                         [&](const etvk_port& port) { return may_be(*args[i], port, true); });
  };
  // Assignments of the arguments from i on: as outputs when n ports have come, and as inputs when k
  // have. 2 stands for more.
  Ways as_outputs = no_ways(size, outputs.size());
  Ways as_inputs = no_ways(size, inputs.size());
  as_outputs[size][outputs.size()] = 1;
  for (size_t i = size; i-- > 0;) {
    for (size_t n = 0; n <= outputs.size(); ++n) {
      const auto again = std::min<ptrdiff_t>(repeats(i, n), 2) * as_outputs[i + 1][n];
      as_outputs[i][n] = up_to_two(again + (is_output(i, n) ? as_outputs[i + 1][n + 1] : 0));
    }
  }
  for (size_t i = size + 1; i-- > 0;) {
    for (size_t k = 0; k <= inputs.size(); ++k) {
      int ways = k == inputs.size() ? as_outputs[i][0] : 0;
      if (i < size) {
        ways += as_inputs[i + 1][k] + (is_input(i, k) ? as_inputs[i + 1][k + 1] : 0);
      }
      as_inputs[i][k] = up_to_two(ways);
    }
  }
  if (as_inputs[0][0] != 1) {
    return false;
  }
  size_t i = 0;
  for (size_t k = 0; k < inputs.size() || as_outputs[i][0] == 0; ++i) {
    if (is_input(i, k) && as_inputs[i + 1][k + 1] != 0) {
      places->inputs.push_back(i);
      ++k;
    }
  }
  places->first_output = i;
  for (size_t n = 0; i < size; ++i) {
    if (is_output(i, n) && as_outputs[i + 1][n + 1] != 0) {
      places->outputs.push_back(n++);
      continue;
    }
    size_t port = 0;
    while (!may_be(*args[i], outputs[port], true)) {
      ++port;
    }
    places->outputs.push_back(port);
  }
  return true;
}

}  // namespace etvk_backend
