// Affine map between two images, fitted to the displacements of a dense search that most cells agree on.
#pragma once
#include "solver/deform/deform.h"
#include "solver/deform/extrapolate.h"
#include "solver/deform/level.h"
#include "solver/deform/warp_moving.h"

namespace mmreg {

// A pair of images of which the moving one is warped by an affine index map. `original` must outlive it.
class AffineWarpedPair {
 public:
  DeformInput input;
  AffineMap affine;

  AffineWarpedPair(const Context& context, const DeformInput& original)
      : input(original), context_(context), original_(original) {}
  void absorb(const AffineMap& more);  // composes `affine` with `more` and warps the original moving image again

 private:
  Context context_;
  const DeformInput& original_;
  WarpedMoving warped_;
  ExtrapolatedPair extrapolated_;
};

// A downsampled pair and its memory, to which `input` points.
struct Downsampled {
  DeformInput input;
  Factor factor;
  Buffer<float> fixed, moving;
  Buffer<std::uint8_t> fixed_valid, moving_valid;
};

Downsampled downsample(const Context&, const DeformInput&, int factor);

// Converts an index map of a level to an index map of the whole grid.
AffineMap on_whole_grid(const AffineMap&, const Factor&);

// Searches for the affine map of a pair. A dense search fails where the body is rotated or stretched: patches differ,
// and neighbours do not share one displacement. The map is therefore applied to the moving image and the search
// repeated until the body no longer moves. `tissue`: fixed voxels above this intensity belong to the body.
AffineMap search_affine(const Context&, const DeformInput&, const SearchSettings&, float tissue, const Interrupt&);

}  // namespace mmreg
