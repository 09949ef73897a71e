// A network that Python runs, for the pipeline.
#pragma once
#include "bind/arrays.h"
#include "pipeline/engine.h"

namespace mmreg::bind {

// What Python says about a network. `run` gets arrays that are valid until it returns and fills the last one: (fixed,
// moving, field) for a field, (side, image, planes) for a descriptor, (stage, fixed, moving, numbers) for a rigid
// motion. With `on_device` an array is the address of device memory and its shape. Where the network may be stopped,
// `run` also gets stop() -> bool, to ask while it runs, and returns True if that ended it before it was done.
struct EngineSpec {
  Engine engine;
  nb::object run;
  bool on_device = false;

  void set_run(nb::object function, bool its_arrays_are_on_device);
};

// How such a `run` describes images of this extent.
std::function<void(Side, const float* image, float* planes, const Stop&)> describer(nb::object run, Extent n,
                                                                                    int planes, bool on_device);

// The same engine on a device, where `run` knows the host only: what the network sees and makes is brought to the host
// and back.
Engine on_device(const Context&, const Engine&);

}  // namespace mmreg::bind
