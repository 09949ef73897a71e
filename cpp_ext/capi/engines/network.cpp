#include "capi/engines/network.h"

#include "capi/deployment/cpu_features.h"
#include "capi/guard.h"

namespace mmreg::capi {
namespace {

std::vector<std::int64_t> shape_of(const Manifest& manifest, int channels, Extent n) {
  std::vector<std::int64_t> out = {1, channels};
  if (manifest.dims == 3) out.push_back(n.d);
  out.insert(out.end(), {n.h, n.w});
  return out;
}

}  // namespace

BoundNetwork::BoundNetwork(const Manifest& manifest)
    : images_(std::size_t(manifest.inputs()), std::vector<float>(std::size_t(voxels(manifest.network_shape)))),
      output_(std::size_t(manifest.channels() * voxels(manifest.output_extent()))) {}

std::vector<const char*> input_names(const Manifest& manifest) {
  if (manifest.inputs() == 1) return {"image"};
  return {"fixed", "moving"};
}

std::vector<std::int64_t> input_shape(const Manifest& manifest) {
  return shape_of(manifest, 1, manifest.network_shape);
}

std::vector<std::int64_t> output_shape(const Manifest& manifest) {
  return shape_of(manifest, manifest.channels(), manifest.output_extent());
}

std::shared_ptr<const Network> load_network(const Manifest& manifest, const Files& files, const std::string& folder,
                                            int threads) {
  const auto load = manifest.engine == EngineKind::openvino ? load_openvino : load_onnxruntime;
  return load(manifest, files, folder, threads);
}

void check_machine(const Manifest& manifest, const Network& network) {
  if (network.version() != manifest.engine_version)
    refuse("MMREG_E_DEPLOYMENT_ENGINE_VERSION",
           "The deployment was made with version %s of its engine; '%.200s' is version %.60s. Install the version that "
           "it needs, or deploy the bundle again.",
           manifest.engine_version.c_str(), network.library().c_str(), network.version().c_str());
  check_cpu(manifest.cpu);
}

}  // namespace mmreg::capi
