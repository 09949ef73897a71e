// The affine map that a dense search finds between two images: what most cells agree on.
#pragma once
#include "solver/fill.h"
#include "solver/pull.h"

namespace mmreg {

// A dense search sees little where the body is turned or stretched: patches differ, and neighbours do not agree on one
// displacement. So the map is taken out of the moving image, and the search done again, until nothing moves any more.
class Settled {
 public:
  DeformInput input;  // the moving image through `affine`
  AffineMap affine;   // of indices of the fixed grid

  Settled(const Operations& operations, Queue& queue, const DeformInput& given)
      : input(given), operations_(operations), queue_(queue), given_(given) {}

  // `tissue`: fixed voxels above it belong to the body.
  void fit(const SearchSettings&, float tissue, const Interrupt&);

 private:
  void take_out(const AffineMap& more);

  const Operations& operations_;
  Queue& queue_;
  const DeformInput& given_;
  Pulled pulled_;
  Filled filled_;
};

}  // namespace mmreg
