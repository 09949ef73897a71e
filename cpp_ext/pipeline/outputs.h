// What is returned: the fields in mm, the warped scan, and the figures that say how good they are.
#pragma once
#include <optional>

#include "pipeline/clock.h"
#include "pipeline/frames.h"
#include "pipeline/resampling.h"

namespace mmreg {

// The scan through `u` (3, fixed), in voxels of the fixed grid: the deformation. `sample` (3, fixed) gets the moving
// point of each fixed voxel, as a displacement in moving voxels. Waits for nothing.
void resample_outputs(const Context&, const Frames&, const Scan& fixed, const Scan& moving, const float* u,
                      const Outside&, float* displacement_mm, float* sample, float* warped, std::uint8_t* valid);

// `u` (3, fixed), in voxels of the fixed grid: the deformation. `outside`: of the warped scan; the lowest value of the
// moving scan if there is none. The figures do not depend on it. Where there is no time for the inverse or for figures,
// they are left out and the result is degraded.
void finish(const Context&, const Scan& fixed, const Scan& moving, const float* u, std::optional<float> outside,
            const Clock&, PipelineResult&);

}  // namespace mmreg
