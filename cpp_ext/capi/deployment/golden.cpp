#include "capi/deployment/golden.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "capi/guard.h"
#include "pipeline/cascade.h"
#include "pipeline/frames.h"
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

double largest_difference(const float* a, const float* b, std::size_t count) {
  double out = 0;
  for (std::size_t i = 0; i < count; ++i) out = worse(out, std::abs(double(a[i]) - double(b[i])));
  return out;
}

double largest_distance_mm(const Manifest& manifest, const float* a, const float* b, std::size_t count) {
  const auto channels = std::size_t(manifest.channels()), n = count / channels;
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

// The window of rigid networks in its own frame (pipeline/cascade.h).
Engine window_of(const Manifest& manifest) {
  Engine window;
  const Extent n = window.extent = manifest.network_shape;
  const int length[] = {n.d, n.h, n.w};
  window.affine = nothing();
  for (int a = 0; a < 3; ++a) {
    window.affine.m[4 * (2 - a) + a] = step_mm(manifest, a);
    window.affine.m[4 * (2 - a) + 3] = -0.5 * step_mm(manifest, a) * (length[a] - 1);
  }
  return window;
}

double distance_of_motions_mm(const Manifest& manifest, const float* a, const float* b) {
  double one[kNumbersOfMotion], other[kNumbersOfMotion];
  for (int k = 0; k < kNumbersOfMotion; ++k) {
    one[k] = a[k];
    other[k] = b[k];
    if (!std::isfinite(a[k]) || !std::isfinite(b[k])) return std::nan("");
  }
  return corner_distance_mm(window_of(manifest), motion_of(one), motion_of(other));
}

double deviation(const Manifest& manifest, const float* found, const float* expected) {
  const auto count = std::size_t(manifest.outputs());
  if (manifest.is_rigid()) return distance_of_motions_mm(manifest, found, expected);
  if (manifest.output == EngineOutput::descriptor) return largest_difference(found, expected, count);
  return largest_distance_mm(manifest, found, expected, count);
}

// Runs a network on the pair and returns its deviation. Adds its time to `seconds`.
double run_on(const GoldenPair& pair, const Manifest& manifest, EngineThread& thread, int stage, double& seconds) {
  BoundNetwork& network = thread.network(stage);
  for (int i = 0; i < manifest.inputs(); ++i) std::copy(pair.images[i].begin(), pair.images[i].end(), network.input(i));
  std::fill_n(network.output(), network.output_size(), std::numeric_limits<float>::quiet_NaN());
  {
    const Timed timed(seconds);
    thread.run(stage, {});
  }
  return deviation(manifest, network.output(), pair.output.data() + stage * manifest.outputs());
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
  GoldenTest out;
  for (int k = 0; k < runs; ++k) {
    double seconds = 0;
    for (int stage = 0; stage < manifest.stages; ++stage)
      out.worst_mm = worse(out.worst_mm, run_on(pair, manifest, thread, stage, seconds));
    out.slowest_s = std::max(out.slowest_s, seconds);
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
