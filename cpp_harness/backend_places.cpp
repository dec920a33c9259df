#include "backend_places.h"

#include <algorithm>

#include "backend_convert.h"

namespace etvk_backend {

using executorch::aten::Tensor;
using executorch::runtime::EValue;
using executorch::runtime::Span;

namespace {

// Whether `arg` can be an output at `port`, whose dims are the largest still.
bool may_be(const EValue& arg, const etvk_port& port) {
  if (port.kind == ETVK_PORT_INTEGER || !arg.isTensor()) {
    return port.kind == ETVK_PORT_INTEGER && (arg.isInt() || arg.isTensor());
  }
  const Tensor& tensor = arg.toTensor();
  uint32_t dtype = 0;
  bool same = dtype_from_scalar_type(tensor.scalar_type(), &dtype) &&
              dtype_fits(dtype, port.dtype) && static_cast<size_t>(tensor.dim()) == port.rank;
  for (uint32_t i = 0; i < port.rank && same; ++i) {
    same = static_cast<uint32_t>(tensor.size(static_cast<ssize_t>(i))) == port.dims[i];
  }
  return same;
}

}  // namespace

bool place_repeated(const Span<EValue*>& args, const std::vector<etvk_port>& ports,
                    std::vector<size_t>* places) {
  places->clear();
  if (args.size() == ports.size()) {
    for (size_t i = 0; i < args.size(); ++i) {
      places->push_back(i);
    }
    return true;
  }
  if (args.size() < ports.size()) {
    return false;
  }
  // ways[i][n]: assignments of the arguments from i on when n ports have come; 2 stands for more.
  std::vector<std::vector<int>> ways(args.size() + 1, std::vector<int>(ports.size() + 2, 0));
  ways[args.size()][ports.size()] = 1;
  const auto repeats = [&](size_t i, size_t n) {
    return std::count_if(ports.begin(), ports.begin() + static_cast<ptrdiff_t>(n),
                         [&](const etvk_port& port) { return may_be(*args[i], port); });
  };
  const auto is_next = [&](size_t i, size_t n) { return n < ports.size() && may_be(*args[i], ports[n]); };
  for (size_t i = args.size(); i-- > 0;) {
    for (size_t n = 0; n <= ports.size(); ++n) {
      const auto again = std::min<ptrdiff_t>(repeats(i, n), 2) * ways[i + 1][n];
      ways[i][n] = static_cast<int>(
          std::min<ptrdiff_t>(again + (is_next(i, n) ? ways[i + 1][n + 1] : 0), 2));
    }
  }
  if (ways[0][0] != 1) {
    return false;
  }
  size_t n = 0;
  for (size_t i = 0; i < args.size(); ++i) {
    if (is_next(i, n) && ways[i + 1][n + 1] != 0) {
      places->push_back(n++);
      continue;
    }
    size_t port = 0;
    while (!may_be(*args[i], ports[port])) {
      ++port;
    }
    places->push_back(port);
  }
  return true;
}

}  // namespace etvk_backend
