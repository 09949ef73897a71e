#include "solver/align/edge_search.h"

#include <algorithm>
#include <cmath>

#include "solver/math/fourier.h"

namespace mmreg {
namespace {

constexpr double kTurn = 6.283185307179586;
constexpr int kRefined = 3;        // best peaks, around which smaller rotations are tried
constexpr int kPeaks = 3;          // of every rotation
constexpr double kFurthest = 0.5;  // shift, in fields of view

struct Field {  // of view
  Point centre_mm;
  double across_mm, voxel_mm;  // along the longer side; the longer side of a voxel
};

Field field(const PyramidLevel& level) {
  const int n[3] = {level.image.extent().d, level.image.extent().h, level.image.extent().w};
  const Point middle = {{0.5 * (n[0] - 1), 0.5 * (n[1] - 1), 0.5 * (n[2] - 1)}};
  Field f{apply(level.affine, middle), 0, 0};
  for (int k = 0; k < 3; ++k) {
    const double step_mm = length(column(level.affine, k));
    if (n[k] > 1) {
      f.across_mm = std::max(f.across_mm, n[k] * step_mm);
      f.voxel_mm = std::max(f.voxel_mm, step_mm);
    }
  }
  return f;
}

// Returns the coarsest level that is not coarser than the step.
const PyramidLevel& level_for(const std::vector<PyramidLevel>& levels, double step_mm) {
  std::size_t k = 0;
  while (k + 1 < levels.size() && field(levels[k + 1]).voxel_mm <= step_mm) ++k;
  return levels[k];
}

struct Lattice {    // of points around the middle of a field of view
  int count, side;  // points along each axis; of the transforms, with room for shifts
  double step_mm;
};

Lattice lattice(const Field& fixed, const Field& moving) {
  const double across_mm = std::max(fixed.across_mm, moving.across_mm);
  const int side = across_mm > 96 * std::max(fixed.voxel_mm, moving.voxel_mm) ? 128 : 64, count = 5 * side / 8;
  return {count, side, across_mm / count};
}

struct EdgeSpectra {
  Spectrum angles;   // weight of each edge, at twice its angle, since edges have no sign
  Spectrum squares;  // of the weights
};

EdgeSpectra edge_spectra(const Context& context, const PyramidLevel& level, const Point& centre_mm,
                         const Lattice& lattice, const Point& along, const Point& across) {
  const double middle = 0.5 * (lattice.count - 1);
  std::vector<Point> points;
  for (int y = 0; y < lattice.count; ++y)
    for (int x = 0; x < lattice.count; ++x)
      points.push_back(centre_mm + lattice.step_mm * ((y - middle) * along + (x - middle) * across));
  const Edges seen = edges(context, level, points, {lattice.step_mm * along, lattice.step_mm * across});
  EdgeSpectra out{Spectrum(lattice.side), Spectrum(lattice.side)};
  for (int y = 0, i = 0; y < lattice.count; ++y)
    for (int x = 0; x < lattice.count; ++x, ++i) {
      const double w = seen.weight[i], a = seen.direction[i].x[0], b = seen.direction[i].x[1];
      if (!(w > 0)) continue;
      const std::size_t at = std::size_t(y) * lattice.side + x;
      out.angles.real[at] = float(w * (a * a - b * b));
      out.angles.imaginary[at] = float(w * 2 * a * b);
      out.squares.real[at] = float(w * w);
    }
  transform(out.angles, false);
  transform(out.squares, false);
  return out;
}

// For each shift of the moving image: the sum over places of the agreement (real part) and of the products of squared
// weights (imaginary part). Two real images share one inverse transform.
Spectrum correlate(const EdgeSpectra& f, const EdgeSpectra& m) {
  const int n = f.angles.side;
  Spectrum out(n), whole(n);
  const auto product = [](const Spectrum& a, const Spectrum& b, std::size_t i, float* re, float* im) {
    *re = a.real[i] * b.real[i] + a.imaginary[i] * b.imaginary[i];
    *im = a.real[i] * b.imaginary[i] - a.imaginary[i] * b.real[i];
  };
  for (std::size_t i = 0; i < whole.real.size(); ++i)
    product(f.angles, m.angles, i, &whole.real[i], &whole.imaginary[i]);
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x) {
      const std::size_t i = std::size_t(y) * n + x, mirrored = std::size_t((n - y) % n) * n + (n - x) % n;
      float re, im;
      product(f.squares, m.squares, i, &re, &im);
      out.real[i] = 0.5f * (whole.real[i] + whole.real[mirrored]) - im;
      out.imaginary[i] = 0.5f * (whole.imaginary[i] - whole.imaginary[mirrored]) + re;
    }
  transform(out, true);
  return out;
}

struct Peak {
  int y, x;  // shift, in steps of the lattice
  double score;
};

struct TurnedCandidate {
  Candidate candidate;
  double angle;
};

// If the angles were random, the variance of the sum would be half the sum of the products.
std::vector<Peak> peaks(const Spectrum& correlation, const Lattice& lattice) {
  const int n = lattice.side, furthest = int(kFurthest * lattice.count);
  const double scale = 1.0 / (double(n) * n);
  double most = 0;
  for (float v : correlation.imaginary) most = std::max(most, double(v));
  const auto score = [&](int y, int x) {
    const std::size_t i = std::size_t((y + n) % n) * n + (x + n) % n;
    const double products = std::max(double(correlation.imaginary[i]), 0.05 * most);
    return products > 0 ? scale * correlation.real[i] / std::sqrt(0.5 * scale * products) : 0.0;
  };
  std::vector<Peak> result;
  for (int y = -furthest; y <= furthest; ++y)
    for (int x = -furthest; x <= furthest; ++x) {
      const double here = score(y, x);
      if (here > score(y - 1, x) && here >= score(y + 1, x) && here > score(y, x - 1) && here >= score(y, x + 1))
        result.push_back({y, x, here});
    }
  const auto better = [](const Peak& a, const Peak& b) { return a.score > b.score; };
  std::stable_sort(result.begin(), result.end(), better);
  if (result.size() > kPeaks) result.resize(kPeaks);
  return result;
}

}  // namespace

std::vector<Candidate> search_edges(const Context& context, const std::vector<PyramidLevel>& fixed_levels,
                                    const std::vector<PyramidLevel>& moving_levels, const Plane& plane,
                                    const std::function<bool()>& stop) {
  const Lattice grid = lattice(field(fixed_levels[0]), field(moving_levels[0]));
  const PyramidLevel &fixed = level_for(fixed_levels, grid.step_mm), &moving = level_for(moving_levels, grid.step_mm);
  const Field f = field(fixed), m = field(moving);
  const int turns = grid.side == 128 ? 72 : 48;
  const Point normal = cross(plane.axes[0], plane.axes[1]);
  const EdgeSpectra still = edge_spectra(context, fixed, f.centre_mm, grid, plane.axes[0], plane.axes[1]);
  const auto best_shifts = [&](double angle) {
    std::vector<TurnedCandidate> out;
    const AffineMap turn = compose(plane.turn, rotation(angle * normal));
    const Point along = rotate(turn, plane.axes[0]), across = rotate(turn, plane.axes[1]);
    const EdgeSpectra turned = edge_spectra(context, moving, m.centre_mm, grid, along, across);
    for (const Peak& p : peaks(correlate(still, turned), grid)) {
      AffineMap map = turn;
      const Point shift_mm = grid.step_mm * (double(p.y) * along + double(p.x) * across);
      set_column(map, 3, m.centre_mm + shift_mm - rotate(turn, f.centre_mm));
      out.push_back({{map, p.score}, angle});
    }
    return out;
  };
  std::vector<TurnedCandidate> all;
  const auto add = [&](double angle) {
    if (stop()) return;
    for (const TurnedCandidate& p : best_shifts(angle)) all.push_back(p);
  };
  for (int k = 0; k < turns; ++k) add(k * kTurn / turns);
  const auto better = [](const TurnedCandidate& a, const TurnedCandidate& b) {
    return a.candidate.score > b.candidate.score;
  };
  std::stable_sort(all.begin(), all.end(), better);
  const std::vector<TurnedCandidate> coarse(all.begin(), all.begin() + std::min<std::size_t>(all.size(), kRefined));
  for (const TurnedCandidate& p : coarse)
    for (const double part : {-0.5, -0.25, 0.25, 0.5}) add(p.angle + part * kTurn / turns);
  std::vector<Candidate> out;
  for (const TurnedCandidate& p : all) out.push_back(p.candidate);
  return out;
}

}  // namespace mmreg
