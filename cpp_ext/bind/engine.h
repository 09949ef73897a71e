// A network that Python runs, for the pipeline.
#pragma once
#include "bind/arrays.h"
#include "pipeline/engine.h"

namespace mmreg::bind {

// From {intensities, output, shape, affine, dims, factor, integration_steps, planes, run, there}. `run` gets arrays
// that are valid until it returns: run(fixed, moving, field), or for a descriptor run(side, image, planes), and fills
// the last. Where `there` is true, an array is the address of device memory and a shape.
Engine engine(nb::dict described);
bool is_there(nb::dict described);

// How such a `run` describes images of this extent.
std::function<void(Side, const float* image, float* planes)> describer(nb::object run, Extent n, int planes,
                                                                       bool there);

// The same engine on a device, where `run` knows the host only: what the network sees and makes is brought to the host
// and back.
Engine placed(const Operations&, Queue&, const Engine&);

}  // namespace mmreg::bind
