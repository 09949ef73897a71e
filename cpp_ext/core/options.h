// How a volume is sampled.
#pragma once

namespace mmreg {

enum class Interpolation : int { nearest, linear, cubic };  // cubic: B-spline of prefiltered coefficients
enum class Border : int { zero, extend };  // outside: 0 (images), or the border value (fields, features)

}  // namespace mmreg
