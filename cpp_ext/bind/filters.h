// Argument types of filters and of the dense search. Half arrays are uint16, numpy's float16 viewed as integers.
#pragma once
#include <nanobind/stl/array.h>

#include <array>

#include "bind/arrays.h"

namespace mmreg::bind {

using Triple = std::array<int, 3>;
using Sigma = std::array<float, 3>;

Normalisation normalisation_of(const std::string& kind, double low, double high);  // throws ValueError

inline Extent pooled(Extent n, const Triple& f) {
  return {(n.d + f[0] - 1) / f[0], (n.h + f[1] - 1) / f[1], (n.w + f[2] - 1) / f[2]};
}

}  // namespace mmreg::bind
