// A network that Python runs, for the pipeline.
#pragma once
#include "bind/arrays.h"
#include "pipeline/engine.h"

namespace mmreg::bind {

// From {fixed, moving, output, shape, affine, dims, factor, integration_steps, planes, scale, run}. `run` gets arrays
// that are valid until it returns: run(fixed, moving, field), or for a descriptor run(side, image, planes), and fills
// the last.
Engine engine(nb::dict described, Extent fixed, Extent moving);

}  // namespace mmreg::bind
