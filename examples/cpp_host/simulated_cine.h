// A simulated cine: a slice through a chest in which organs move with breathing, while the skin stays.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

class SimulatedCine {
 public:
  static constexpr double kPixelMm = 1.5;
  using Point = std::array<double, 2>;  // y, x in pixels from the centre

  SimulatedCine(int side, double amplitude_px) : side_(side), amplitude_px_(amplitude_px) {}

  // The frame at a phase of the breath, 0 to 1, with noise of its own. At phase 0 all is at rest.
  std::vector<float> frame(double phase, std::uint32_t seed) const {
    std::mt19937 generator(seed);
    std::normal_distribution<float> noise(0, 0.02f);
    std::vector<float> pixels;
    pixels.reserve(std::size_t(side_) * std::size_t(side_));
    for (int y = 0; y < side_; ++y)
      for (int x = 0; x < side_; ++x) {
        const Point now = {y - 0.5 * side_, x - 0.5 * side_}, moved = motion(now, phase);
        pixels.push_back(float(brightness({now[0] - moved[0], now[1] - moved[1]})) + noise(generator));
      }
    return pixels;
  }

  // Where the point that is here at rest has moved to.
  Point moved(const Point& at_rest, double phase) const {
    Point now = at_rest;
    for (int k = 0; k < 50; ++k) {  // now = at_rest + motion(now), a contraction
      const Point by = motion(now, phase);
      now = {at_rest[0] + by[0], at_rest[1] + by[1]};
    }
    return now;
  }

  Point lesion() const { return {kOrgans[2].y * side_, kOrgans[2].x * side_}; }

 private:
  struct Organ {
    double y, x, ry, rx, bright;  // centre and radii as shares of the side
  };
  static constexpr Organ kOrgans[] = {{0.00, 0.00, 0.36, 0.42, 0.5},  {-0.08, 0.05, 0.12, 0.15, 0.8},
                                      {0.12, -0.20, 0.04, 0.04, 1.0}, {-0.05, -0.22, 0.04, 0.05, 0.7},
                                      {0.20, 0.10, 0.05, 0.09, 0.6},  {0.17, 0.23, 0.03, 0.03, 1.0}};

  // Displacement in pixels of what is here now, from where it was at rest: largest in the middle, none at the skin.
  Point motion(const Point& now, double phase) const {
    const double a = now[0] / (0.40 * side_), b = now[1] / (0.44 * side_);
    const double size = amplitude_px_ * std::sin(2 * 3.14159265358979 * phase) * std::max(0.0, 1 - a * a - b * b);
    return {size, size / 3};
  }

  double brightness(const Point& p) const {
    double sum = 0;
    for (const Organ& o : kOrgans) {
      const double a = (p[0] - o.y * side_) / (o.ry * side_), b = (p[1] - o.x * side_) / (o.rx * side_);
      const double outside_px = (std::hypot(a, b) - 1) * std::min(o.ry, o.rx) * side_;
      sum += o.bright / (1 + std::exp(1.5 * outside_px));  // an edge of about two pixels
    }
    return sum;
  }

  int side_;
  double amplitude_px_;
};
