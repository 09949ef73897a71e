#include "solver/align/scan_statistics.h"

#include <algorithm>
#include <cmath>

#include "ops/buffer.h"
#include "solver/align/intensity_map.h"

namespace mmreg {
namespace {

using Flags = std::vector<std::uint8_t>;

int axis(Extent n, int k) { return k == 0 ? n.d : k == 1 ? n.h : n.w; }

void set_sampling_lattice(const Scan& scan, ScanStatistics& s) {
  double volume = 1;
  int dims = 0;
  for (int k = 0; k < 3; ++k) {
    s.spacing_mm[k] = length(column(s.affine, k));
    if (axis(scan.extent, k) > 1) {
      volume *= s.spacing_mm[k] * axis(scan.extent, k);
      ++dims;
    }
  }
  const double cell_mm = std::pow(volume / 40000, 1.0 / std::max(dims, 1));
  int count[3];
  for (int k = 0; k < 3; ++k) {
    const int n = axis(scan.extent, k), most = std::max(1, n / 4);
    s.stride[k] = std::min(most, std::max(1, int(cell_mm / s.spacing_mm[k] + 0.5)));
    count[k] = n / s.stride[k];
  }
  s.lattice = {count[0], count[1], count[2]};
}

Point lattice_index(const ScanStatistics& s, std::int64_t i) {  // centre voxel of a cell
  const int at[3] = {int(i / (std::int64_t(s.lattice.h) * s.lattice.w)), int(i / s.lattice.w % s.lattice.h),
                     int(i % s.lattice.w)};
  Point p;
  for (int k = 0; k < 3; ++k) p.x[k] = at[k] * s.stride[k] + s.stride[k] / 2;
  return p;
}

std::vector<float> sample_scan(const Context& context, const Scan& scan, const ScanStatistics& s) {
  const std::int64_t count = voxels(s.lattice);
  std::vector<float> points(3 * count), values(count);
  for (std::int64_t i = 0; i < count; ++i) {
    const Point p = lattice_index(s, i);
    for (int k = 0; k < 3; ++k) points[k * count + i] = float(p.x[k]);
  }
  const Buffer<float> at = uploaded(context, points), seen(context, count);
  context.sample_points(scan, scan.mask, at.data(), count, seen.data());
  seen.download(values.data());
  return values;
}

// Majority of the neighbours along each axis in turn, so that single noisy points do not become foreground.
void majority_filter(Flags& flags, Extent n) {
  const std::int64_t steps[3] = {std::int64_t(n.h) * n.w, n.w, 1};
  for (int k = 0; k < 3; ++k) {
    if (axis(n, k) < 3) continue;
    const Flags before = flags;
    for (std::int64_t i = 0; i < voxels(n); ++i) {
      const std::int64_t place = i / steps[k] % axis(n, k);
      if (place > 0 && place + 1 < axis(n, k)) flags[i] = before[i - steps[k]] + before[i] + before[i + steps[k]] >= 2;
    }
  }
}

std::vector<float> mapped_values(const Context& context, const IntensityMap& intensity_map,
                                 const std::vector<float>& values) {
  std::vector<float> mapped(values.size());
  const Buffer<float> before = uploaded(context, values), after(context, values.size());
  context.pool_mapped(before, nullptr, Extent{1, 1, 1}, intensity_map, after.data());
  after.download(mapped.data());
  return mapped;
}

void find_body(const std::vector<float>& mapped, ScanStatistics& s) {
  const float threshold = foreground_threshold(mapped);
  s.body.resize(mapped.size());
  for (std::size_t i = 0; i < mapped.size(); ++i) s.body[i] = mapped[i] >= threshold;
  majority_filter(s.body, s.lattice);
  const double share = double(std::count(s.body.begin(), s.body.end(), 1)) / double(s.body.size());
  if (share > 0.02 && share < 0.95) return;
  for (std::size_t i = 0; i < mapped.size(); ++i)
    s.body[i] = mapped[i] == mapped[i];  // no clear foreground: all finite points
}

void measure_body(const Scan& scan, ScanStatistics& s) {
  Point sum{};
  double count = 0, square = 0;
  for (std::size_t i = 0; i < s.body.size(); ++i)
    if (s.body[i]) {
      sum = sum + apply(s.affine, lattice_index(s, std::int64_t(i)));
      count += 1;
    }
  s.centre_mm = (1 / std::max(count, 1.0)) * sum;
  for (std::size_t i = 0; i < s.body.size(); ++i)
    if (s.body[i]) {
      const Point p = apply(s.affine, lattice_index(s, std::int64_t(i))) - s.centre_mm;
      square += dot(p, p);
    }
  const double least = 0.5 * std::min({s.spacing_mm[0], s.spacing_mm[1], s.spacing_mm[2]});
  s.radius_mm = std::max(least, std::sqrt(square / std::max(count, 1.0)));
  const int thin = (scan.extent.d == 1) + (scan.extent.h == 1) + (scan.extent.w == 1);
  s.diameter_mm = 2 * s.radius_mm * std::sqrt(thin ? 2.0 : 5.0 / 3);
}

}  // namespace

ScanStatistics measure_scan_statistics(const Context& context, const Scan& scan) {
  ScanStatistics s;
  s.affine = scan.affine;
  set_sampling_lattice(scan, s);
  const std::vector<float> values = sample_scan(context, scan, s);
  s.intensity_map = estimate_intensity_map(values);
  s.flat = s.intensity_map.low == s.intensity_map.high;
  find_body(s.flat ? values : mapped_values(context, s.intensity_map, values), s);
  measure_body(scan, s);
  return s;
}

double finest_spacing_mm(const Scan& scan, const ScanStatistics& statistics) {
  const int length[3] = {scan.extent.d, scan.extent.h, scan.extent.w};
  double finest_mm = 1e300;
  for (int a = 0; a < 3; ++a)
    if (length[a] > 1) finest_mm = std::min(finest_mm, statistics.spacing_mm[a]);
  return finest_mm;
}

}  // namespace mmreg
