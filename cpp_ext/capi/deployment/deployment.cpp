#include "capi/deployment/deployment.h"

#include <algorithm>
#include <utility>

#include "capi/deployment/folder.h"
#include "capi/guard.h"
#include "cpu/processors.h"

namespace capi = mmreg::capi;

namespace {

constexpr double kHangLimit_s = 10;    // of the self-test
constexpr double kTimesExpected = 10;  // a run that takes longer is cancelled

}  // namespace

mmreg_deployment::mmreg_deployment(mmreg_context& owner, const char* path, const std::uint8_t* public_key)
    : context(owner) {
  const capi::Folder folder(path);
  text_ = folder.manifest_text(public_key);
  manifest_ = capi::parse_manifest(text_);
  check_room();
  const capi::Files files = folder.files(manifest_);
  golden_ = capi::golden_pair(manifest_, files);
  networks_ = capi::load_networks(manifest_, files, {context.engine_path, threads()});
  self_test(1);
  ++context.deployments;
}

// Before its files are read.
void mmreg_deployment::check_room() const {
  const double limit_mb = double(context.memory_limit_bytes) / (1 << 20);
  if (!context.memory_limit_bytes || manifest_.memory_mb <= limit_mb) return;
  capi::refuse("MMREG_E_MEMORY",
               "The network of the deployment takes %d MB, and memory_limit_bytes allows %.0f MB. Raise the limit, or "
               "deploy a smaller network or grid.",
               manifest_.memory_mb, limit_mb);
}

mmreg_deployment::~mmreg_deployment() { --context.deployments; }

capi::GoldenTest mmreg_deployment::self_test(int runs) const {
  return capi::self_test(manifest_, golden_, *engine_thread(kHangLimit_s), runs);
}

std::unique_ptr<capi::EngineThread> mmreg_deployment::engine_thread(double hang_limit_s) const {
  const std::vector<double> expected = expected_s();
  const double run_s = kTimesExpected * *std::max_element(expected.begin(), expected.end()) + hang_limit_s;
  std::vector<std::unique_ptr<capi::BoundNetwork>> bound;
  for (const auto& network : networks_) bound.push_back(network->bind());
  return std::make_unique<capi::EngineThread>(std::move(bound), capi::Patience{hang_limit_s, run_s});
}

int mmreg_deployment::threads() const { return context.threads > 0 ? context.threads : mmreg::usable_processors(); }

// With fewer threads than it was measured with it takes longer; more are not counted on.
std::vector<double> mmreg_deployment::expected_s() const {
  std::vector<double> out;
  for (const double ms : manifest_.expected_ms)
    out.push_back(1e-3 * ms * std::max(1.0, double(manifest_.threads) / threads()));
  return out;
}

std::string mmreg_deployment::description() const {
  const capi::Network& network = *networks_.front();
  return text_ + "engine_library = " + network.library() + "\nengine_library_version = " + network.version() + "\n";
}
