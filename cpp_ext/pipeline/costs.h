#pragma once
#include "pipeline/clock.h"
#include "pipeline/frames.h"

namespace mmreg {

// Estimates the costs of the last stage for a pair, from the time to sample a few planes.
Costs costs_of_finish(const Context&, const Scan& fixed, const Scan& moving, const PipelineOptions&, const Clock&);

}  // namespace mmreg
