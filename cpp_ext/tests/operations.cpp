// Every operation through the table, on every target, on extents where loops go wrong first: laws, the same
// bits for any number of threads, targets that agree, and no access outside (the sanitizers' part).
#include <cstring>
#include <functional>

#include "tests/arrays.h"
#include "tests/check.h"

namespace mmreg::test {
namespace {

using Values = std::vector<float>;
using Run = std::function<Values(const Operations&, Queue&, Extent)>;

bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Runs on all targets and extents; `tolerance` between targets is for other roundings and orders of sums.
void hold(const Run& run, double tolerance) {
  for (const Extent n : edge_extents) {
    Values first;
    for (const Operations* target : all_targets()) {
      const Values alone = run(*target, *open(*target, 1), n);
      CHECK(!alone.empty());
      for (int threads : {2, 3, 5}) CHECK(same_bits(run(*target, *open(*target, threads), n), alone));
      if (first.empty()) first = alone;
      for (std::size_t i = 0; i < alone.size(); ++i) CHECK_NEAR(alone[i], first[i], tolerance);
    }
  }
}

}  // namespace

TEST(operations, jacobian) {
  hold(
      [](const Operations& target, Queue& queue, Extent n) {
        const Values u = uniform(3 * voxels(n), -0.3f, 0.3f), still(u.size(), 0.f);
        Values det(static_cast<std::size_t>(voxels(n)));
        target.jacobian(queue, still.data(), n, det.data());
        for (float d : det) CHECK(d == 1.f);
        target.jacobian(queue, u.data(), n, det.data());
        return det;
      },
      1e-5);
}

}  // namespace mmreg::test
