// Operations on displacement fields.
#include "tests/each.h"

namespace mmreg::test {

TEST(fields, jacobian_of_no_displacement_is_one) {
  hold(
      [](const Operations& target, Queue& queue, Extent n) {
        const Values u = uniform(3 * voxels(n), -0.3f, 0.3f), still(u.size(), 0.f);
        Values det(size(voxels(n)));
        target.jacobian(queue, still.data(), n, det.data());
        for (float d : det) CHECK(d == 1.f);
        target.jacobian(queue, u.data(), n, det.data());
        return det;
      },
      1e-5);
}

}  // namespace mmreg::test
