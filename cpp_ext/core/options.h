// How a volume is sampled.
#pragma once

namespace mmreg {

enum class Interpolation : int { nearest, linear, cubic };  // cubic: B-spline of prefiltered coefficients
enum class Border : int { zero, extend };  // outside: 0 (images), or the border value (fields, features)

// The value outside a sampled volume: its border value, or a value into which it fades.
struct Outside {
  bool extends = false;
  float value = 0;
  const float* there = nullptr;  // in the table's memory, in place of `value`: known when the step runs

  constexpr Outside(Border border) : extends(border == Border::extend) {}
  constexpr explicit Outside(float given) : value(given) {}
  constexpr explicit Outside(const float* given) : there(given) {}
};

}  // namespace mmreg
