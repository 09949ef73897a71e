// Exposes arrays of Half as float16.
#pragma once
#include <nanobind/ndarray.h>

#include "core/types.h"

template <>
struct nanobind::detail::dtype_traits<mmreg::Half> {
  static constexpr dlpack::dtype value{std::uint8_t(dlpack::dtype_code::Float), 16, 1};
  static constexpr auto name = const_name("float16");
};
