// Runs an operation of the table on every target, on extents that are critical for row loops, and checks the guarantees
// of all operations: the same bits for any number of threads, and agreement of the targets. Arrays have exactly the
// required size, so that sanitizers detect accesses out of bounds.
#pragma once
#include <cstring>
#include <functional>

#include "core/half.h"
#include "ops/context.h"
#include "tests/arrays.h"
#include "tests/check.h"

namespace mmreg::test {

using Values = std::vector<float>;
using Halves = std::vector<Half>;
using Run = std::function<Values(const Context&, Extent)>;

inline Image view(const Values& voxels, Extent n, int channels = 1) { return {voxels.data(), n, channels}; }
inline FeatureImage view(const Halves& features, Extent n, int channels) { return {features.data(), n, channels}; }
inline Displacement field_of(const Values& u, Extent n) { return {u.data(), n}; }

inline std::size_t size(std::int64_t count) { return static_cast<std::size_t>(count); }

inline Values widened(const Halves& halves) {
  Values values(halves.size());
  for (std::size_t i = 0; i < halves.size(); ++i) values[i] = scalar::widen(halves[i]);
  return values;
}

inline Halves narrowed(const Values& values) {
  Halves halves(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) halves[i] = scalar::narrow(values[i]);
  return halves;
}

inline bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// `tolerance` between targets allows for different rounding and different orders of sums inside one voxel.
inline void hold(const Run& run, double tolerance) {
  for (const Extent n : edge_extents) {
    Values first;
    for (const Operations* target : all_tables()) {
      const Values result = run(Context(*target, *open(*target, 1)), n);
      CHECK(!result.empty());
      for (int threads : {2, 3, 5}) CHECK(same_bits(run(Context(*target, *open(*target, threads)), n), result));
      if (first.empty()) first = result;
      for (std::size_t i = 0; i < result.size(); ++i) CHECK_NEAR(result[i], first[i], tolerance);
    }
  }
}

}  // namespace mmreg::test
