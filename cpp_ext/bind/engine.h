// A network that Python runs, for the pipeline.
#pragma once
#include "bind/arrays.h"
#include "pipeline/engine.h"
#include "solver/table_memory.h"

namespace mmreg::bind {

// From {fixed, moving, output, shape, affine, dims, factor, integration_steps, planes, run}. `run` gets arrays
// that are valid until it returns: run(fixed, moving, field), or for a descriptor run(side, image, planes), and fills
// the last.
Engine engine(nb::dict described, Extent fixed, Extent moving);

// How such a `run` describes images of this extent.
std::function<void(Side, const float* image, float* planes)> describer(nb::object run, Extent n, int planes);

// An engine on a table: where the table's memory is not the host's, the scans are brought there, and what the network
// sees and makes is brought to the host and back.
class PlacedEngine {
 public:
  PlacedEngine(const Operations&, Queue&, const Engine& on_host, Extent fixed, Extent moving);
  const Engine& operator*() const { return engine_; }

 private:
  TableMemory<float> fixed_, moving_;
  Engine engine_;
};

}  // namespace mmreg::bind
