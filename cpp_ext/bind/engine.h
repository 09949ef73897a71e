// A network that Python runs, for the pipeline.
#pragma once
#include "bind/arrays.h"
#include "pipeline/engine.h"

namespace mmreg::bind {

// From {fixed, moving, output, shape, affine, dims, factor, integration_steps, planes, run}. `run` gets arrays
// that are valid until it returns: run(fixed, moving, field), or for a descriptor run(side, image, planes), and fills
// the last.
Engine engine(nb::dict described, Extent fixed, Extent moving);

// How such a `run` describes images of this extent.
std::function<void(Side, const float* image, float* planes)> describer(nb::object run, Extent n, int planes);

}  // namespace mmreg::bind
