// The interface of a network: functions that run it, from Python by ONNX Runtime or OpenVINO, or from a C host. It
// outputs a field, features in place of MIND-SSC, or the rigid motions of a cascade.
#pragma once
#include <functional>
#include <vector>

#include "solver/align/scan_statistics.h"
#include "solver/deform/deform.h"
#include "solver/deform/level.h"

namespace mmreg {

enum class EngineOutput { displacement, velocity, descriptor, rigid };

// Polled while a network runs; returns true to stop it.
using Stop = std::function<bool()>;

struct Engine {
  EngineOutput output = EngineOutput::displacement;
  Extent extent{};              // of the network's grid, on which it gets both scans
  AffineMap affine;             // indices of that grid to mm, in the space of the fixed scan
  Normalisation intensities{};  // from those of the scans to those of the training
  int dims = 3;                 // 2: fields have two components, along the last two axes
  int factor = 1;               // voxels of that grid in one of the field, along each axis that has more than one
  int integration_steps = 0;    // squarings, of a velocity
  int planes = 0;               // of a descriptor
  std::vector<double> expected_s{0.0};  // of all runs for one pair, or of each rigid stage; 0: unknown
  double slack_s = 0;                   // a run may go on for so long after `stop` returned true

  Factor field_factor() const {
    const auto along = [this](int length) { return length > 1 ? factor : 1; };
    return {{along(extent.d), along(extent.h), along(extent.w)}};
  }

  // Images on the grid, 0 outside of the scan. The field (dims, extent / factor rounded up) is in voxels of the grid.
  // Pointers are to the table's memory. Errors are thrown; Abandoned if `stop` returned true and the network stopped.
  std::function<void(const float* fixed, const float* moving, float* field, const Stop& stop)> field;
  std::function<void(Side, const float* image, float* planes, const Stop& stop)> describe;
  // Images of a window in host memory, scaled to [0, 1] by one common map. The six numbers are the motion that aligns
  // the moving image with the fixed one, in the frame of the window (pipeline/cascade.h).
  std::function<void(int stage, const float* fixed, const float* moving, double numbers[6], const Stop& stop)> motion;
};

}  // namespace mmreg
