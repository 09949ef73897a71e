// A plan: the network path of a registration, prepared for the grids of two scans.
#include "pipeline/plan.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include "bind/arrays.h"
#include "bind/engine.h"
#include "bind/scans.h"

namespace mmreg::bind {
namespace {

using Shape = std::tuple<int, int, int>;

Scan grid(const Shape& shape, const Matrix& affine) {
  const Extent n = {std::get<0>(shape), std::get<1>(shape), std::get<2>(shape)};
  require(n.d > 0 && n.h > 0 && n.w > 0, "a shape must be three positive numbers");
  return {nullptr, n, affine_map(affine), nullptr};
}

class PreparedPlan {
 public:
  PreparedPlan(const EngineSpec& network, const Shape& fixed, const Matrix& fixed_affine, const Shape& moving,
               const Matrix& moving_affine, const Matrix& alignment, DeviceQueue* device, int threads,
               std::optional<float> outside)
      : place_(device ? device->beside() : open_place("", threads)),
        plan_(place_.context(), network.engine, grid(fixed, fixed_affine), grid(moving, moving_affine),
              affine_map(alignment), outside) {}

  void preprocess() {
    Unlocked unlocked;
    plan_.preprocess();
  }
  void finish() {
    Unlocked unlocked;
    plan_.finish();
  }
  std::int64_t remove_folds() {
    Unlocked unlocked;
    return plan_.remove_folds();
  }
  nb::dict facts() {
    PlanFacts facts;
    {
      Unlocked unlocked;
      facts = plan_.facts();
    }
    nb::dict out;
    const auto to_tuple = [](const Extremes& e) { return nb::make_tuple(e.smallest, e.largest, e.not_finite); };
    out["fixed"] = to_tuple(facts.fixed);
    out["moving"] = to_tuple(facts.moving);
    out["folds"] = facts.folds;
    return out;
  }

  // Returns a view of an array of the plan, or (address, shape) on a device.
  template <class T>
  nb::object own(nb::handle self, T* data, std::vector<std::size_t> shape) {
    if (place_.operations->on_device)
      return nb::make_tuple(reinterpret_cast<std::uintptr_t>(data), nb::tuple(nb::cast(shape)));
    return nb::cast(nb::ndarray<nb::numpy, T>(data, shape.size(), shape.data(), self), nb::rv_policy::reference);
  }
  Plan& plan() { return plan_; }

 private:
  Place place_;
  Plan plan_;
};

std::vector<std::size_t> shape_of(Extent n, int channels = 0) {
  std::vector<std::size_t> shape = {std::size_t(n.d), std::size_t(n.h), std::size_t(n.w)};
  if (channels) shape.insert(shape.begin(), std::size_t(channels));
  return shape;
}

PreparedPlan& of(nb::handle self) { return nb::cast<PreparedPlan&>(self); }

}  // namespace

void bind_plan(nb::module_& m) {
  nb::class_<PreparedPlan> plan(m, "Plan", "The network path of a registration, prepared for two grids.");
  plan.def(nb::init<const EngineSpec&, const Shape&, const Matrix&, const Shape&, const Matrix&, const Matrix&,
                    DeviceQueue*, int, std::optional<float>>(),
           "network"_a, "fixed_shape"_a, "fixed_affine"_a, "moving_shape"_a, "moving_affine"_a, "alignment"_a,
           "device"_a.none() = nb::none(), "threads"_a = 0, "outside"_a = nb::none(), nb::keep_alive<1, 8>())
      .def("preprocess", &PreparedPlan::preprocess, "Compute seen_fixed and seen_moving from fixed and moving.")
      .def("finish", &PreparedPlan::finish, "Compute displacement_mm, warped and valid from field.")
      .def("facts", &PreparedPlan::facts, "Wait, and return the extremes and the number of folded voxels.")
      .def("remove_folds", &PreparedPlan::remove_folds,
           "Remove folds and return the number that remain. Waits for the queue.");
  // Arrays, or (address, shape) on a device.
#define MMREG_ARRAY(name, get) plan.def_prop_ro(#name, get, nb::sig("def " #name "(self, /) -> typing.Any"))
  MMREG_ARRAY(fixed, [](nb::handle s) {
    return of(s).own(s, of(s).plan().fixed.data(), shape_of(of(s).plan().fixed_extent()));
  });
  MMREG_ARRAY(moving, [](nb::handle s) {
    return of(s).own(s, of(s).plan().moving.data(), shape_of(of(s).plan().moving_extent()));
  });
  MMREG_ARRAY(seen_fixed, [](nb::handle s) {
    return of(s).own(s, of(s).plan().seen_fixed.data(), shape_of(of(s).plan().seen_extent()));
  });
  MMREG_ARRAY(seen_moving, [](nb::handle s) {
    return of(s).own(s, of(s).plan().seen_moving.data(), shape_of(of(s).plan().seen_extent()));
  });
  MMREG_ARRAY(field, [](nb::handle s) {
    Plan& p = of(s).plan();
    return of(s).own(s, p.field(), shape_of(p.field_extent(), p.field_channels()));
  });
  MMREG_ARRAY(displacement_mm, [](nb::handle s) {
    return of(s).own(s, of(s).plan().displacement_mm.data(), shape_of(of(s).plan().fixed_extent(), 3));
  });
  MMREG_ARRAY(warped, [](nb::handle s) {
    return of(s).own(s, of(s).plan().warped.data(), shape_of(of(s).plan().fixed_extent()));
  });
  MMREG_ARRAY(valid, [](nb::handle s) {
    return of(s).own(s, of(s).plan().valid.data(), shape_of(of(s).plan().fixed_extent()));
  });
#undef MMREG_ARRAY
}

}  // namespace mmreg::bind
