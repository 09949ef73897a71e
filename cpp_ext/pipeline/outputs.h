// The results of a registration: the fields in mm, the warped scan and the figures of quality.
#pragma once
#include <optional>

#include "pipeline/clock.h"
#include "pipeline/frames.h"
#include "pipeline/resampling.h"

namespace mmreg {

// Warps the scan by `u` (3, fixed), the deformation in voxels of the fixed grid. `sample` (3, fixed) gets the moving
// point of each fixed voxel, as a displacement in moving voxels. Does not wait for the queue.
void resample_outputs(const Context&, const Frames&, const Scan& fixed, const Scan& moving, const float* u,
                      const Outside&, float* displacement_mm, float* sample, float* warped, std::uint8_t* valid);

// `u` (3, fixed), in voxels of the fixed grid: the deformation. The figures do not depend on the value outside of the
// moving scan. If there is no time for the inverse or for figures, they are left out and the result is degraded.
void finish(const Context&, MeasuredScan& fixed, MeasuredScan& moving, const float* u, const PipelineOptions&, Clock&,
            PipelineResult&);

}  // namespace mmreg
