#include "pipeline/cascade.h"

#include <algorithm>

#include "ops/interruption.h"
#include "pipeline/network.h"
#include "pipeline/stopwatch.h"

namespace mmreg {
namespace {

Point centre_of(const Engine& window) {
  const Extent n = window.extent;
  return apply(window.affine, {{0.5 * (n.d - 1), 0.5 * (n.h - 1), 0.5 * (n.w - 1)}});
}

AffineMap frame_of(const Engine& window) {  // from the frame to mm
  AffineMap frame;
  for (int k = 0; k < 3; ++k) {
    const Point axis = column(window.affine, 2 - k);
    set_column(frame, k, (1 / length(axis)) * axis);
  }
  frame = nearest_rotation(frame);
  set_column(frame, 3, centre_of(window));
  return frame;
}

AffineMap updated(const AffineMap& map, const double numbers[6], const AffineMap& frame) {
  const AffineMap next = compose(map, compose(frame, compose(invert(motion_of(numbers)), invert(frame))));
  AffineMap rounded = nearest_rotation(next);  // prevents rounding errors from adding up
  set_column(rounded, 3, column(next, 3));
  return rounded;
}

std::vector<float> window_of(const Context& context, const Engine& window, Image image, const AffineMap& scan_affine,
                             const AffineMap& to_scan_mm) {
  const AffineMap to_scan = compose(invert(scan_affine), compose(to_scan_mm, window.affine));
  const Buffer<float> seen(context, window.extent);
  context.resample_affine(image, to_scan.m, window.extent, Interpolation::linear, Border::zero, seen.data(), nullptr);
  std::vector<float> host(seen.size());
  seen.download(host.data());
  return host;
}

void scale_jointly(std::vector<float>& fixed, std::vector<float>& moving) {
  const auto [low_fixed, high_fixed] = std::minmax_element(fixed.begin(), fixed.end());
  const auto [low_moving, high_moving] = std::minmax_element(moving.begin(), moving.end());
  const float low = std::min(*low_fixed, *low_moving), high = std::max(*high_fixed, *high_moving);
  const float scale = high > low ? 1 / (high - low) : 0;
  for (std::vector<float>* image : {&fixed, &moving})
    for (float& value : *image) value = (value - low) * scale;
}

}  // namespace

AffineMap motion_of(const double numbers[6]) {
  AffineMap about[3];
  for (int k = 0; k < 3; ++k) {
    Point axis{{0, 0, 0}};
    axis.x[k] = numbers[3 + k] * kRadiansPerDegree;
    about[k] = rotation(axis);
  }
  AffineMap motion = compose(about[2], compose(about[1], about[0]));
  set_column(motion, 3, {{numbers[0], numbers[1], numbers[2]}});
  return motion;
}

AffineMap run_cascade(const Context& context, const Engine& engine, const Scan& fixed, const Scan& moving,
                      const AffineMap& start, Clock& clock, NetworkRun& network, CascadeRun& cascade) {
  const int stages = int(engine.expected_s.size());
  const Buffer<Extremes> found(context, 2);
  const Buffer<float> moving_image = normalised(context, engine, moving, found.data() + 1);
  const std::vector<float> whole =
      window_of(context, engine, normalised(context, engine, fixed, found.data()), fixed.affine, AffineMap());
  const AffineMap frame = frame_of(engine);
  cascade.window_centre_mm = centre_of(engine);
  AffineMap map = start;
  double longest_s = 0;
  for (int stage = 0; stage < stages; ++stage) {
    const double share = double(stage) / stages;
    longest_s = std::max(longest_s, engine.expected_s[std::size_t(stage)]);
    if (!begins(clock, longest_s, share, network)) return map;
    const double began = clock.seconds();
    std::vector<float> seen_fixed = whole, seen_moving = window_of(context, engine, moving_image, moving.affine, map);
    scale_jointly(seen_fixed, seen_moving);
    double numbers[6];
    try {
      engine.motion(stage, seen_fixed.data(), seen_moving.data(), numbers,
                    [&] { return clock.too_late(Stage::network, share); });
    } catch (const Abandoned&) {
      return map;
    }
    map = updated(map, numbers, frame);
    cascade.stages_run = stage + 1;
    longest_s = clock.seconds() - began;
  }
  network.end = NetworkEnd::complete;
  return map;
}

double corner_distance_mm(const Engine& window, const AffineMap& one, const AffineMap& other) {
  double longest = 0;
  const Extent n = window.extent;
  for (int corner = 0; corner < 8; ++corner) {
    const Point index{{corner & 4 ? n.d - 1.0 : 0, corner & 2 ? n.h - 1.0 : 0, corner & 1 ? n.w - 1.0 : 0}};
    const Point place = apply(window.affine, index);
    longest = std::max(longest, length(apply(one, place) - apply(other, place)));
  }
  return longest;
}

}  // namespace mmreg
