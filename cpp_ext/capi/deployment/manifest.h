// deployment.txt: what a network needs to run, as `mmreg deploy` writes it; docs/deployment_folder.md describes the
// format.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/normalisation_data.h"
#include "pipeline/engine.h"

namespace mmreg::capi {

enum class EngineKind { openvino, onnxruntime };
enum class Precision { fp32, bf16, fp16, int8 };

struct DeclaredFile {
  std::string name;
  std::int64_t bytes = 0;
  std::string sha256;
};

struct Manifest {
  std::string name, version, mmreg_version, bundle_sha256, engine_version, cpu;
  EngineKind engine = EngineKind::openvino;
  Precision precision = Precision::fp32;
  int threads = 0;
  EngineOutput output = EngineOutput::displacement;
  int dims = 3;
  Extent fixed_shape{}, largest_moving_shape{}, network_shape{};
  double fixed_linear[9] = {};
  AffineMap network_to_fixed;  // indices
  Normalisation intensity{};
  int factor = 1, integration_steps = 0, planes = 0;
  bool refine = false;
  double golden_limit_mm = 0, expected_ms = 0, slack_ms = 0;
  std::vector<DeclaredFile> files;

  // Number of images that the network takes in one run, and of numbers that it gives.
  int inputs() const { return output == EngineOutput::descriptor ? 1 : 2; }
  int channels() const { return output == EngineOutput::descriptor ? planes : dims; }
  Extent output_extent() const;
  const DeclaredFile& file(const char* name) const;
};

constexpr std::size_t kMostManifestBytes = 64 << 10;

// Throws a CodedError that names the rule which the text breaks first.
Manifest parse_manifest(std::string_view text);

}  // namespace mmreg::capi
