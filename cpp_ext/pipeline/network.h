// The stage of a network: both scans on its grid, and what it makes of them on the grid of the fixed scan.
#pragma once
#include "pipeline/clock.h"
#include "pipeline/engine.h"
#include "pipeline/resampling.h"

namespace mmreg {

Buffer<float> normalised(const Context&, const Engine&, const Scan&, Extremes* found);

// A scan on the network's grid, in the intensities that it knows. `to_scan_mm`: mm of the fixed scan to mm of this one.
// `found`, in the table's memory, gets what the scan holds. Waits for nothing.
void preprocess_scan(const Context&, const Engine&, const Scan&, const AffineMap& to_scan_mm, float* seen,
                     Extremes* found);

// The displacement `u` (3, fixed), in voxels of the fixed scan, that follows from what the network gives: `field` (3,
// its grid), which is used up. It may fold. Waits for nothing.
void field_to_fixed(const Context&, const Engine&, float* field, const Scan& fixed, float* u);

// Whether there is time for a run that takes `expected_s`, noted in `run`. One that would end too late is not begun:
// what it has found until then is worth nothing, and not every network can be stopped.
bool begins(Clock&, double expected_s, double share, NetworkRun& run);

// The displacement that the network finds, without folds.
Buffer<float> predict(const Context&, const Engine&, const Scan& fixed, const Scan& moving,
                      const AffineMap& to_moving_mm, const Stop&);

// Lets the network describe images that lie on the grid of `scan`; the time that takes is added to `seconds`.
Prior describing(const Context&, const Engine&, const Scan& scan, const Stop&, double& seconds);

}  // namespace mmreg
