// The figures of a finished registration.
#pragma once
#include "pipeline/measured_scan.h"
#include "pipeline/pipeline.h"
#include "pipeline/resampling.h"

namespace mmreg {

struct Fields {
  const Frames& frames;
  Displacement u;       // of the fixed grid: the deformation
  Displacement sample;  // of the fixed grid: index of the moving point minus the fixed index
  Displacement back;    // of the moving grid: the inverse of the whole transform; without data: there is none
};

// Fills in r.quality, one figure after the other; r.valid must be complete.
void measure(const Context&, MeasuredScan& fixed, MeasuredScan& moving, const Fields&, Figures, PipelineResult& r);

}  // namespace mmreg
