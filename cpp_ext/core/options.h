// Options for sampling a volume.
#pragma once

namespace mmreg {

enum class Interpolation : int { nearest, linear, cubic };  // cubic: B-spline of prefiltered coefficients
enum class Border : int { zero, extend };  // value outside: 0 (images), or the border value (fields, features)

// Value outside a sampled volume: its border value, or a constant into which the volume fades.
struct Outside {
  bool extends = false;
  float value = 0;
  const float* stored = nullptr;  // replaces `value`; in the table's memory, read when the operation runs

  constexpr Outside(Border border) : extends(border == Border::extend) {}
  constexpr explicit Outside(float constant) : value(constant) {}
  constexpr explicit Outside(const float* memory) : stored(memory) {}
};

}  // namespace mmreg
