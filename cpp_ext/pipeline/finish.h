// What is returned: the fields in mm, the warped scan, and the figures that say how good they are.
#pragma once
#include "pipeline/pipeline.h"
#include "pipeline/prepare.h"

namespace mmreg {

// `u` (3, fixed), in voxels of the fixed grid: the deformation.
void finish(const Operations&, Queue&, const Scan& fixed, const Scan& moving, const float* u, PipelineResult&);

}  // namespace mmreg
