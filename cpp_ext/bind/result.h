// What the pipeline gives, as Python holds it.
#pragma once
#include "bind/arrays.h"
#include "pipeline/pipeline.h"

namespace mmreg::bind {

struct ResultView {
  PipelineResult result;  // its arrays are handed out below
  nb::object displacement_mm = nb::none(), deformation_mm = nb::none(), inverse_mm = nb::none();
  nb::object warped = nb::none(), valid = nb::none();
  nb::dict seconds, settings;
  std::optional<int> threads;  // none on a device
};

// Takes the arrays out of `result`: to host memory, or with a queue to memory of its device that lives as long as what
// Python gets, as (address, shape, owner).
ResultView view_of(PipelineResult&& result, Extent fixed, Extent moving, const Engine*, DeviceQueue* keep_on);

}  // namespace mmreg::bind
