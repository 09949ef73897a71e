// A network as the pipeline sees it: something that is run, by Python through ONNX Runtime or OpenVINO, or by a C host.
// It gives a field, features in place of MIND-SSC, or rigid motions of a window, one network after the other.
#pragma once
#include <functional>
#include <vector>

#include "solver/align/scan_statistics.h"
#include "solver/deform/deform.h"
#include "solver/deform/level.h"

namespace mmreg {

enum class EngineOutput { displacement, velocity, descriptor, rigid };

// Asked again and again while a network runs; true: what it finds is not wanted any more.
using Stop = std::function<bool()>;

struct Engine {
  EngineOutput output = EngineOutput::displacement;
  Extent extent{};              // of the grid that it sees both scans on
  AffineMap affine;             // indices of that grid to mm, in the space of the fixed scan
  Normalisation intensities{};  // of the scans, to those that it knows
  int dims = 3;                 // 2: fields have two components, along the last two axes
  int factor = 1;               // voxels of that grid in one of the field, along each axis that has more than one
  int integration_steps = 0;    // squarings, of a velocity
  int planes = 0;               // of a descriptor
  std::vector<double> expected_s{0.0};  // how long all runs for one pair take, or each rigid stage; 0: not known

  Factor field_factor() const {
    const auto along = [this](int length) { return length > 1 ? factor : 1; };
    return {{along(extent.d), along(extent.h), along(extent.w)}};
  }

  // Images on the grid, 0 outside of the scan. The field (dims, extent / factor rounded up)
  // is in voxels of the grid. Pointers belong to the table's memory. Whatever goes wrong is thrown; Abandoned, if
  // `stop` said so and the network could be stopped.
  std::function<void(const float* fixed, const float* moving, float* field, const Stop& stop)> field;
  std::function<void(Side, const float* image, float* planes, const Stop& stop)> describe;
  // Images of a window on the host, both scaled to [0, 1] together. The six numbers are the motion that brings what the
  // moving image shows onto the fixed one, in the frame of the window (pipeline/cascade.h).
  std::function<void(int stage, const float* fixed, const float* moving, double numbers[6], const Stop& stop)> motion;
};

}  // namespace mmreg
