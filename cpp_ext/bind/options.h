// Arguments of a registration from Python: the scans and the options.
#pragma once
#include "bind/engine.h"
#include "bind/scans.h"
#include "pipeline/pipeline.h"

namespace mmreg::bind {

struct ScanArgument {  // Python arrays, and the scan that refers to them
  In<float, 3> image;
  HostMask mask;
  Scan scan;
};

struct OptionsArgument {
  PipelineOptions pipeline;
  std::optional<EngineSpec> engine;
  std::optional<nb::callable> cancelled, now;
  int threads = 0;
  std::string target;
  DeviceQueue* device = nullptr;
  nb::object device_owner;
  bool keep_on_device = false;
};

}  // namespace mmreg::bind
