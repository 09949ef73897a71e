// A network that Python runs, for the pipeline.
#pragma once
#include "bind/arrays.h"
#include "pipeline/engine.h"

namespace mmreg::bind {

// From {intensities, output, shape, affine, dims, factor, integration_steps, planes, expected_s, run, there}. `run`
// gets arrays that are valid until it returns: (fixed, moving, field), or for a descriptor (side, image, planes), and
// fills the last. Where `there` is true, an array is the address of device memory and a shape. Where it may be stopped
// it is also given stop() -> bool, to ask while it runs, and returns True if that made it end before it was done.
Engine engine(nb::dict described);
bool is_there(nb::dict described);

// How such a `run` describes images of this extent.
std::function<void(Side, const float* image, float* planes, const Stop&)> describer(nb::object run, Extent n,
                                                                                    int planes, bool there);

// The same engine on a device, where `run` knows the host only: what the network sees and makes is brought to the host
// and back.
Engine placed(const Context&, const Engine&);

}  // namespace mmreg::bind
