#include <nanobind/stl/pair.h>

#include <climits>

#include "bind/arrays.h"

namespace mmreg::bind {

using Field = In<float, 4>;

static Extent grid_of(const Field& u) {
  require(u.shape(0) == 3, "displacement must have shape (3, D, H, W), in voxels of its grid");
  const std::size_t size = u.size() / 3;
  require(size > 0 && size <= std::size_t(INT_MAX), "displacement must have 1 to 2**31 - 1 voxels");
  return extent(u, 1);
}

static Out<float> compose(Field first, Field second, Into<float> into, int threads, const Target& target) {
  const Extent n = grid_of(first), other = grid_of(second);
  require(n.d == other.d && n.h == other.h && n.w == other.w, "first and second must have the same shape");
  Out<float> out = make<float>({3, n.d, n.h, n.w}, into);
  Call call(target, threads);
  call->compose(call.in(first), call.in(second), n, call.out(out));
  return out;
}

static Out<float> integrate(Field velocity, int steps, Into<float> into, int threads, const Target& target) {
  const Extent n = grid_of(velocity);
  require(steps >= 0 && steps <= 30, "steps must be between 0 and 30");
  Out<float> out = make<float>({3, n.d, n.h, n.w}, into);
  Call call(target, threads);
  call->integrate(call.in(velocity), n, steps, call.out(out));
  return out;
}

static std::pair<Out<float>, nb::dict> invert(Field u, int iterations, float tolerance, int threads,
                                              const Target& target) {
  const Extent n = grid_of(u);
  require(iterations > 0 && tolerance > 0, "iterations and tolerance must be positive");
  Out<float> out = make<float>({3, n.d, n.h, n.w});
  Inversion residual;
  {
    Call call(target, threads);
    residual = call->invert(call.in(u), n, iterations, tolerance, call.out(out));
  }
  nb::dict result;
  result["largest"] = residual.largest;
  result["mean"] = residual.mean;
  return {out, result};
}

static Out<float> jacobian(Field u, Into<float> into, int threads, const Target& target) {
  const Extent n = grid_of(u);
  Out<float> out = make<float>({n.d, n.h, n.w}, into);
  Call call(target, threads);
  call->jacobian(call.in(u), n, call.out(out));
  return out;
}

static nb::dict folding(Field u, int threads, const Target& target) {
  const Extent n = grid_of(u);
  Folding folding;
  {
    Call call(target, threads);
    folding = call->folding(call.in(u), n);
  }
  nb::list smallest, count;
  for (int i = 0; i < 9; ++i) {
    smallest.append(double(folding.smallest[i]));
    count.append(folding.count[i]);
  }
  nb::dict result;
  result["smallest"] = nb::tuple(smallest);
  result["count"] = nb::tuple(count);
  return result;
}

static nb::dict max_displacement(Field u, int threads, const Target& target) {
  const Extent n = grid_of(u);
  MaxDisplacement most;
  {
    Call call(target, threads);
    most = call->max_displacement(call.in(u), n);
  }
  nb::dict result;
  result["longest"] = most.longest;
  result["not_finite"] = most.not_finite;
  return result;
}

static nb::dict summary(nb::ndarray<const float, nb::c_contig> values, int threads, const Target& target) {
  Summary s;
  {
    Call call(target, threads);
    s = call->summary(call.in(values), std::int64_t(values.size()));
  }
  nb::dict result;
  result["sum"] = s.sum;
  result["mean"] = s.mean;
  result["smallest"] = s.smallest;
  result["largest"] = s.largest;
  result["not_finite"] = s.not_finite;
  return result;
}

void bind_displacement(nb::module_& m) {
  m.def("compose", &compose, "first"_a.noconvert(), "second"_a.noconvert(), "out"_a.noconvert() = nb::none(),
        "threads"_a = 0, "target"_a = "");
  m.def("integrate", &integrate, "velocity"_a.noconvert(), "steps"_a = 7, "out"_a.noconvert() = nb::none(),
        "threads"_a = 0, "target"_a = "");
  m.def("invert", &invert, "displacement"_a.noconvert(), "iterations"_a = 30, "tolerance"_a = 1e-3f, "threads"_a = 0,
        "target"_a = "");
  m.def("jacobian", &jacobian, "displacement"_a.noconvert(), "out"_a.noconvert() = nb::none(), "threads"_a = 0,
        "target"_a = "");
  m.def("folding", &folding, "displacement"_a.noconvert(), "threads"_a = 0, "target"_a = "");
  m.def("max_displacement", &max_displacement, "displacement"_a.noconvert(), "threads"_a = 0, "target"_a = "");
  m.def("summary", &summary, "values"_a.noconvert(), "threads"_a = 0, "target"_a = "");
}

}  // namespace mmreg::bind
