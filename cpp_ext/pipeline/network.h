// The stage of a network: both scans on its grid, and what it makes of them on the grid of the fixed scan.
#pragma once
#include "pipeline/engine.h"
#include "pipeline/prepare.h"

namespace mmreg {

struct Seen {  // a pair through the eyes of a network
  Scan grid;   // no data: where it looks
  Prepared fixed, moving;
};

// The scans as they are tell where and what is masked, the engine's own copies how bright. `to_moving_mm`: fixed mm to
// moving mm.
Seen see(const Operations&, Queue&, const Engine&, const Scan& fixed, const Scan& moving,
         const AffineMap& to_moving_mm);

// The displacement that the network finds, (3, fixed), in voxels of the fixed scan, without folds.
TableMemory<float> predict(const Operations&, Queue&, const Engine&, const Seen&, const Scan& fixed);

// Lets the network describe images that lie on the grid of `scan`; the time that takes is added to `seconds`.
Prior describing(const Operations&, Queue&, const Engine&, const Scan& scan, double& seconds);

}  // namespace mmreg
