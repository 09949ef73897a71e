// The result of the pipeline in Python.
#pragma once
#include "bind/arrays.h"
#include "pipeline/pipeline.h"

namespace mmreg::bind {

struct ResultView {
  PipelineResult result;  // its arrays are moved to the members below
  nb::object displacement_mm = nb::none(), deformation_mm = nb::none(), inverse_mm = nb::none();
  nb::object warped = nb::none(), valid = nb::none();
  nb::dict seconds, settings;
  std::optional<int> threads;  // empty on a device
};

// Moves the arrays out of `result`: to host memory, or, with a queue, to memory of its device, as (address, shape,
// owner) tuples whose owner keeps the memory alive.
ResultView view_of(PipelineResult&& result, Extent fixed, Extent moving, const Engine*, DeviceQueue* keep_on);

}  // namespace mmreg::bind
