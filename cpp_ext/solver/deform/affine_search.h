// The affine map that a dense search finds between two images: what most cells agree on.
#pragma once
#include "solver/deform/deform.h"
#include "solver/deform/extrapolate.h"
#include "solver/deform/level.h"
#include "solver/deform/warp_moving.h"

namespace mmreg {

// A pair of images, the moving one warped by an affine map of indices.
class AffineWarpedPair {
 public:
  DeformInput input;
  AffineMap affine;

  AffineWarpedPair(const Context& context, const DeformInput& original)
      : input(original), context_(context), original_(original) {}
  void absorb(const AffineMap& more);  // composes the map with `more` and warps the original moving image again

 private:
  Context context_;
  const DeformInput& original_;
  WarpedMoving warped_;
  ExtrapolatedPair extrapolated_;
};

// A pair at a fraction of its resolution.
struct Downsampled {
  DeformInput input;
  Factor factor;
  Buffer<float> fixed, moving;
  Buffer<std::uint8_t> fixed_valid, moving_valid;
};

Downsampled downsample(const Context&, const DeformInput&, int factor);

// A map of indices of a level as a map of indices of the whole grid.
AffineMap on_whole_grid(const AffineMap&, const Factor&);

// A dense search sees little where the body is turned or stretched: patches differ, and neighbours do not agree on one
// displacement. So the map is applied to the moving image and the search repeated until the body no longer moves.
// `tissue`: fixed voxels above it belong to the body.
AffineMap search_affine(const Context&, const DeformInput&, const SearchSettings&, float tissue, const Interrupt&);

}  // namespace mmreg
