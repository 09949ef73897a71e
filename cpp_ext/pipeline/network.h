// The network stage: resamples both scans to the network's grid, and its output to the grid of the fixed scan.
#pragma once
#include "pipeline/clock.h"
#include "pipeline/engine.h"
#include "pipeline/measured_scan.h"
#include "pipeline/resampling.h"

namespace mmreg {

Buffer<float> normalised(const Context&, const Engine&, const Scan&, Extremes* found);

// Resamples a scan to the network's grid and maps its intensities. `to_scan_mm`: mm of the fixed scan to mm of this
// one. `found`, in the table's memory, gets the extremes of the scan. Does not wait for the queue.
void preprocess_scan(const Context&, const Engine&, const Scan&, const AffineMap& to_scan_mm, float* seen,
                     Extremes* found);

// Converts the output of the network, `field` (3, its grid), which is overwritten, to the displacement `u` (3, fixed)
// in voxels of the fixed scan. It may fold. Does not wait for the queue.
void field_to_fixed(const Context&, const Engine&, float* field, const Scan& fixed, float* u);

// Returns whether there is time for a run of `expected_s`, and records the decision in `run`. A run that would end too
// late is not begun: a network has no partial result, and not every network can be stopped.
bool begins(Clock&, double expected_s, double share, NetworkRun& run);

// Returns the displacement that the network predicts, with folds removed.
Buffer<float> predict(const Context&, const Engine&, MeasuredScan& fixed, const Scan& moving,
                      const AffineMap& to_moving_mm, const Stop&);

// Returns a prior by which the network describes images on the grid of `scan`, and which owns the features. Its run
// time is added to `seconds`. `fixed`, if not null, has the features of the fixed image already, or gets them.
Prior describing(const Context&, const Engine&, const Scan& scan, const Stop&, double& seconds,
                 Buffer<Half>* fixed = nullptr);

}  // namespace mmreg
