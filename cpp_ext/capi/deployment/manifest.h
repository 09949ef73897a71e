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

enum class EngineKind { openvino, onnxruntime, tensorrt };
enum class Precision { fp32, bf16, fp16, int8 };

struct DeclaredFile {
  std::string name;
  std::int64_t bytes = 0;
  std::string sha256;
};

constexpr int kMostStages = 8, kNumbersOfMotion = 6;

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
  int stages = 1;  // networks, which run one after the other
  bool refine = false;
  double golden_limit_mm = 0, slack_ms = 0;
  std::vector<double> expected_ms;  // of each network
  int memory_mb = 0;                // of 2^20 bytes: what all networks take, weights and intermediate images
  std::vector<DeclaredFile> files;

  // Number of images that a network takes in one run, and of numbers that it gives: a motion, or channels of images.
  int inputs() const { return output == EngineOutput::descriptor ? 1 : 2; }
  bool is_rigid() const { return output == EngineOutput::rigid; }
  std::int64_t outputs() const { return is_rigid() ? kNumbersOfMotion : channels() * voxels(output_extent()); }
  int channels() const { return output == EngineOutput::descriptor ? planes : dims; }
  Extent output_extent() const;
  const DeclaredFile& file(const char* name) const;
};

constexpr std::size_t kMostManifestBytes = 64 << 10;

// Returns the name of a file of a network: network.xml of the first one, network2.xml of the second.
std::string network_file(int stage, const char* ending);

// Throws a CodedError that names the rule which the text breaks first.
Manifest parse_manifest(std::string_view text);

}  // namespace mmreg::capi
