// The affine map that a dense search finds between two images: what most cells agree on.
#pragma once
#include "solver/deform/extrapolate.h"
#include "solver/deform/level.h"
#include "solver/deform/warp_moving.h"

namespace mmreg {

// A pair of images, the moving one through an affine map of indices.
class Through {
 public:
  DeformInput input;
  AffineMap affine;

  Through(const Context& context, const DeformInput& given) : input(given), context_(context), given_(given) {}
  void take_out(const AffineMap& more);

 private:
  Context context_;
  const DeformInput& given_;
  Pulled pulled_;
  Filled filled_;
};

// A pair at a fraction of its resolution.
struct Smaller {
  DeformInput input;
  Factor factor;
  Buffer<float> fixed, moving;
  Buffer<std::uint8_t> fixed_valid, moving_valid;
};

Smaller smaller(const Context&, const DeformInput&, int factor);

AffineMap of_whole(const AffineMap&, const Factor&);  // from indices of a level to those of the whole grid

// A dense search sees little where the body is turned or stretched: patches differ, and neighbours do not agree on one
// displacement. So the map is taken out of the moving image, and the search done again, until nothing moves any more.
// `tissue`: fixed voxels above it belong to the body.
AffineMap settle(const Context&, const DeformInput&, const SearchSettings&, float tissue, const Interrupt&);

}  // namespace mmreg
