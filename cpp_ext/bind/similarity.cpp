#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "bind/arrays.h"
#include "solver/math/information.h"

namespace mmreg::bind {
using Range = std::pair<float, float>;

template <class A, class B>
static void require_same(const A& a, const B& b, const char* message) {
  for (int axis = 0; axis < 3; ++axis) require(a.shape(axis) == b.shape(axis), message);
}

static const std::uint8_t* data(const Mask& mask, const In<float, 3>& image) {
  if (!mask) return nullptr;
  require_same(*mask, image, "mask must have the shape of the image");
  return mask->data();
}

static std::pair<double, Out<float>> local_ncc(In<float, 3> fixed, In<float, 3> moving, int radius, int threads,
                                               const Target& target) {
  require_same(fixed, moving, "fixed and moving must have the same shape");
  require(radius >= 1 && radius <= 16, "radius must be between 1 and 16 voxels");
  const Extent n = extent(fixed, 0);
  require(voxels(n) > 0, "images must have at least one voxel");
  Out<float> map = make<float>({n.d, n.h, n.w});
  Call call(target, threads);
  const double value = call->local_ncc(call.in(fixed), call.in(moving), n, radius, call.out(map));
  return {value, map};
}

static double local_ncc_value(In<float, 3> fixed, In<float, 3> moving, int radius, int threads, const Target& target) {
  require_same(fixed, moving, "fixed and moving must have the same shape");
  require(radius >= 1 && radius <= 16, "radius must be between 1 and 16 voxels");
  require(fixed.size() > 0, "images must have at least one voxel");
  Call call(target, threads);
  return call->local_ncc(call.in(fixed), call.in(moving), extent(fixed, 0), radius, nullptr);
}

static Out<double> joint_histogram(In<float, 3> fixed, In<float, 3> moving, Mask mask, std::pair<int, int> bins,
                                   Range fixed_range, Range moving_range, bool parzen, int threads,
                                   const Target& target) {
  require_same(fixed, moving, "fixed and moving must have the same shape");
  for (int b : {bins.first, bins.second}) require(b >= (parzen ? 8 : 1) && b <= 256, "bins must be 8 to 256");
  const std::uint8_t* selected = data(mask, fixed);
  Out<double> out = make<double>({bins.first, bins.second});
  Call call(target, threads);
  call->joint_histogram(call.in(fixed), call.in(moving), call.in(selected, fixed.size()), std::int64_t(fixed.size()),
                        Binning{fixed_range.first, fixed_range.second, bins.first},
                        Binning{moving_range.first, moving_range.second, bins.second},
                        parzen ? Parzen::cubic : Parzen::none, out.data());
  return out;
}

static std::vector<float> percentiles(In<float, 3> image, const std::vector<double>& fractions, Mask mask, int threads,
                                      const Target& target) {
  require(fractions.size() <= 16, "at most 16 fractions");
  for (double f : fractions) require(f >= 0 && f <= 1, "fractions must be between 0 and 1");
  const std::uint8_t* selected = data(mask, image);
  std::vector<float> values(fractions.size(), std::nanf(""));
  Call call(target, threads);
  call->percentiles(call.in(image), call.in(selected, image.size()), std::int64_t(image.size()), fractions.data(),
                    int(fractions.size()), values.data());
  return values;
}

static double mutual_information(HostIn<double, 2> histogram) {
  return information(histogram.data(), int(histogram.shape(0)), int(histogram.shape(1))).mutual();
}

static double normalised_mutual_information(HostIn<double, 2> histogram) {
  return information(histogram.data(), int(histogram.shape(0)), int(histogram.shape(1))).normalised();
}

void bind_similarity(nb::module_& m) {
  const auto fixed = "fixed"_a.noconvert(), moving = "moving"_a.noconvert();
  m.def("local_ncc", &local_ncc, fixed, moving, "radius"_a, "threads"_a = 0, "target"_a = "",
        "Return the mean squared correlation over all windows, and its map.");
  m.def("local_ncc_value", &local_ncc_value, fixed, moving, "radius"_a, "threads"_a = 0, "target"_a = "");
  m.def("joint_histogram", &joint_histogram, fixed, moving, "mask"_a.none(), "bins"_a, "fixed_range"_a,
        "moving_range"_a, "parzen"_a, "threads"_a = 0, "target"_a = "");
  m.def("percentiles", &percentiles, "image"_a.noconvert(), "fractions"_a, "mask"_a.none(), "threads"_a = 0,
        "target"_a = "");
  m.def("mutual_information", &mutual_information, "histogram"_a.noconvert());
  m.def("normalised_mutual_information", &normalised_mutual_information, "histogram"_a.noconvert());
}

}  // namespace mmreg::bind
