#include "bind/arrays.h"

namespace mmreg::bind {

static Out<float> jacobian(In<float, 4> u, int threads, const std::string& target) {
  require(u.shape(0) == 3, "displacement must have shape (3, D, H, W), in voxels of its grid");
  const Extent n = extent(u, 1);
  Out<float> out = make<float>({n.d, n.h, n.w});
  Call call(target, threads);
  call->jacobian(call.queue(), u.data(), n, out.data());
  return out;
}

void bind_jacobian(nb::module_& m) {
  m.def("jacobian", &jacobian, "displacement"_a.noconvert(), "threads"_a = 0, "target"_a = "");
}

}  // namespace mmreg::bind
