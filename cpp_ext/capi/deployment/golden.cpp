#include "capi/deployment/golden.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "capi/guard.h"
#include "pipeline/stopwatch.h"

namespace mmreg::capi {
namespace {

std::vector<float> floats(const std::string& bytes) {
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
  return out;
}

// Returns the step of an axis of the network's grid, mm.
double step_mm(const Manifest& manifest, int axis) {
  double sum = 0;
  for (int i = 0; i < 3; ++i) {
    double along = 0;
    for (int k = 0; k < 3; ++k) along += manifest.fixed_linear[3 * i + k] * manifest.network_to_fixed(k, axis);
    sum += along * along;
  }
  return std::sqrt(sum);
}

double worse(double a, double b) { return a < b || std::isnan(b) ? b : a; }  // NaN is the worst

double largest_difference(const float* a, const std::vector<float>& b) {
  double out = 0;
  for (std::size_t i = 0; i < b.size(); ++i) out = worse(out, std::abs(double(a[i]) - double(b[i])));
  return out;
}

double largest_distance_mm(const Manifest& manifest, const float* a, const std::vector<float>& b) {
  const auto channels = std::size_t(manifest.channels()), n = b.size() / channels;
  double out = 0;
  for (std::size_t i = 0; i < n; ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < channels; ++c) {
      const double difference = double(a[c * n + i]) - double(b[c * n + i]);
      const double mm = difference * step_mm(manifest, int(c) + 3 - manifest.dims);
      sum += mm * mm;
    }
    out = worse(out, std::sqrt(sum));
  }
  return out;
}

}  // namespace

GoldenPair golden_pair(const Manifest& manifest, const Files& files) {
  GoldenPair out;
  out.images[0] = floats(files.at("golden_fixed.f32"));
  if (manifest.inputs() == 2) out.images[1] = floats(files.at("golden_moving.f32"));
  out.output = floats(files.at("golden_output.f32"));
  return out;
}

GoldenTest self_test(const Manifest& manifest, const GoldenPair& pair, EngineThread& thread, int runs) {
  BoundNetwork& network = thread.network();
  GoldenTest out;
  for (int k = 0; k < runs; ++k) {
    for (int i = 0; i < manifest.inputs(); ++i)
      std::copy(pair.images[i].begin(), pair.images[i].end(), network.input(i));
    std::fill_n(network.output(), network.output_size(), std::numeric_limits<float>::quiet_NaN());
    const Stopwatch watch;
    thread.run({});
    out.slowest_s = std::max(out.slowest_s, watch.seconds());
    const bool field = manifest.output != EngineOutput::descriptor;
    out.worst_mm = worse(out.worst_mm, field ? largest_distance_mm(manifest, network.output(), pair.output)
                                             : largest_difference(network.output(), pair.output));
  }
  if (!(out.worst_mm <= manifest.golden_limit_mm))
    refuse(
        "MMREG_E_DEPLOYMENT_GOLDEN",
        "The output of the network for the golden pair is off by %.3g, and the limit is %.3g. Do not use it with this "
        "engine on this machine; deploy the bundle again.",
        out.worst_mm, manifest.golden_limit_mm);
  return out;
}

}  // namespace mmreg::capi
