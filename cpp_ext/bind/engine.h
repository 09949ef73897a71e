// A network that Python runs for the pipeline.
#pragma once
#include "bind/arrays.h"
#include "pipeline/engine.h"

namespace mmreg::bind {

// An engine whose functions call the Python function `run`. Its arguments are arrays that are valid until it returns,
// of which it fills the last: (fixed, moving, field) for a field, (side, image, planes) for a descriptor, (stage,
// fixed, moving, numbers) for a rigid motion. With `on_device` an array is (address, shape) in device memory. If the
// network may be stopped, `run` also gets stop() -> bool to poll, and returns True if it was stopped before it
// finished.
struct EngineSpec {
  Engine engine;
  nb::object run;
  bool on_device = false;

  void set_run(nb::object function, bool arrays_on_device);
};

// Returns the function that describes images of extent n by calling `run`.
std::function<void(Side, const float* image, float* planes, const Stop&)> describer(nb::object run, Extent n,
                                                                                    int planes, bool on_device);

// Returns the engine for a device if `run` works on the host: copies its inputs and outputs between device and host.
Engine on_device(const Context&, const Engine&);

}  // namespace mmreg::bind
