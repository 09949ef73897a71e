#pragma once
#include "pipeline/clock.h"
#include "pipeline/frames.h"

namespace mmreg {

// Of the last stage for this pair, estimated from a few planes that are sampled and timed.
Costs costs_of_finish(const Context&, const Scan& fixed, const Scan& moving, const Clock&);

}  // namespace mmreg
