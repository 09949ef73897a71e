// The figures of a finished registration.
#pragma once
#include "pipeline/pipeline.h"
#include "pipeline/resampling.h"

namespace mmreg {

struct Fields {
  const Frames& frames;
  const float* u;       // (3, fixed), voxels of the fixed grid: the deformation
  const float* sample;  // (3, fixed): index of the moving point minus the fixed index
  const float* back;  // (3, moving), voxels of the moving grid: the inverse of the whole transform; null: there is none
};

// Fills in r.quality, one figure after the other; r.warped and r.valid must stand.
void measure(const Context&, const Scan& fixed, const Scan& moving, const Fields&, PipelineResult& r);

}  // namespace mmreg
