#include "solver/align/fixed_samples.h"

#include <algorithm>
#include <cmath>

namespace mmreg {
namespace {

using Flags = std::vector<std::uint8_t>;

std::uint64_t mix(std::uint64_t x) {  // SplitMix64 (Steele, Lea and Flood, 2014)
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

double fraction(std::uint64_t bits) { return double(bits >> 11) * 0x1p-53; }

struct Cells {  // a lattice of cells over the field of view of the level, in indices of the level
  int count[3];
  double size[3];
};

Cells sampling_cells(const PyramidLevel& level, double spacing_mm) {
  Cells cells;
  const int n[3] = {level.image.extent().d, level.image.extent().h, level.image.extent().w};
  for (int k = 0; k < 3; ++k) {
    const double extent_mm = n[k] * length(column(level.affine, k));
    cells.count[k] = n[k] == 1 ? 1 : std::max(1, int(extent_mm / spacing_mm + 0.5));
    cells.size[k] = double(n[k]) / cells.count[k];
  }
  return cells;
}

bool in_body(const ScanStatistics& s, const Flags& body, const Point& mm, const AffineMap& to_index) {
  const Point index = apply(to_index, mm);
  const int count[3] = {s.lattice.d, s.lattice.h, s.lattice.w};
  std::int64_t at = 0;
  for (int k = 0; k < 3; ++k) {
    const int cell = int(std::floor((index.x[k] + 0.5) / s.stride[k]));
    at = at * count[k] + std::min(std::max(cell, 0), count[k] - 1);
  }
  return body[std::size_t(at)] != 0;
}

// Returns the side of cells that divide the flagged part of the scan into about `most` cells.
double cell_side(const ScanStatistics& s, const Flags& flags, const PyramidLevel& level, std::int64_t most) {
  double volume = double(std::count(flags.begin(), flags.end(), 1));
  const int n[3] = {level.image.extent().d, level.image.extent().h, level.image.extent().w};
  int dims = 0;
  for (int k = 0; k < 3; ++k)
    if (n[k] > 1) {
      volume *= s.spacing_mm[k] * s.stride[k];
      ++dims;
    }
  return std::pow(volume / double(most), 1.0 / std::max(dims, 1));
}

std::vector<Point> draw_points(const PyramidLevel& level, const ScanStatistics& s, double spacing_mm,
                               std::int64_t most) {
  const Flags body = widened(s, 0.15 * s.diameter_mm);
  const AffineMap to_index = invert(s.affine);
  const Cells cells = sampling_cells(level, std::max(spacing_mm, cell_side(s, body, level, most)));
  const int n[3] = {level.image.extent().d, level.image.extent().h, level.image.extent().w};
  std::vector<Point> points;
  std::uint64_t seed = 0;
  for (int z = 0; z < cells.count[0]; ++z)
    for (int y = 0; y < cells.count[1]; ++y)
      for (int x = 0; x < cells.count[2]; ++x) {
        const int at[3] = {z, y, x};
        Point index;
        for (int k = 0; k < 3; ++k) index.x[k] = n[k] == 1 ? 0 : (at[k] + fraction(mix(seed++))) * cells.size[k] - 0.5;
        if (in_body(s, body, apply(level.affine, index), to_index)) points.push_back(index);
      }
  return points;
}

// Sets the flags that are at most `reach` places from a set one. `nearest`: scratch memory for a line.
void widen_line(std::uint8_t* line, int count, std::int64_t step, int reach, std::vector<int>& nearest) {
  for (int j = 0, away = reach + 1; j < count; ++j)
    nearest[std::size_t(j)] = away = line[j * step] ? 0 : std::min(away + 1, reach + 1);
  for (int j = count - 1, away = reach + 1; j >= 0; --j) {
    away = nearest[std::size_t(j)] == 0 ? 0 : std::min(away + 1, reach + 1);
    line[j * step] = std::min(away, nearest[std::size_t(j)]) <= reach;
  }
}

}  // namespace

std::vector<std::uint8_t> widened(const ScanStatistics& s, double margin_mm) {
  Flags flags = s.body;
  const int count[3] = {s.lattice.d, s.lattice.h, s.lattice.w};
  const std::int64_t steps[3] = {std::int64_t(count[1]) * count[2], count[2], 1};
  std::vector<int> nearest(std::size_t(std::max({count[0], count[1], count[2]})));
  for (int k = 0; k < 3; ++k) {
    const int reach = int(margin_mm / (s.spacing_mm[k] * s.stride[k]) + 0.5);
    if (reach == 0) continue;
    const std::int64_t block = steps[k] * count[k];
    for (std::int64_t first = 0; first < std::int64_t(flags.size()); first += block)
      for (std::int64_t i = first; i < first + steps[k]; ++i)
        widen_line(&flags[std::size_t(i)], count[k], steps[k], reach, nearest);
  }
  return flags;
}

FixedSamples draw_samples(const Context& context, const PyramidLevel& level, const ScanStatistics& statistics,
                          double spacing_mm, std::int64_t most) {
  const std::vector<Point> drawn = draw_points(level, statistics, spacing_mm, most);
  const std::size_t count = drawn.size();
  std::vector<float> indices(3 * count), values(count);
  for (std::size_t i = 0; i < count; ++i)
    for (int k = 0; k < 3; ++k) indices[k * count + i] = float(drawn[i].x[k]);
  const Buffer<float> at = uploaded(context, indices), seen(context, count);
  context.sample_points(level.image, nullptr, at.data(), std::int64_t(count), seen.data());
  seen.download(values.data());

  std::vector<float> known;
  std::vector<Point> places;
  for (std::size_t i = 0; i < count; ++i)
    if (values[i] == values[i]) {
      known.push_back(values[i]);
      places.push_back(apply(level.affine, drawn[i]) - statistics.centre_mm);
    }
  std::vector<float> points(3 * known.size());
  for (std::size_t i = 0; i < known.size(); ++i)
    for (int k = 0; k < 3; ++k) points[k * known.size() + i] = float(places[i].x[k]);
  return {uploaded(context, points), uploaded(context, known), std::int64_t(known.size())};
}

}  // namespace mmreg
