#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <optional>

#include "bind/arrays.h"

namespace mmreg::bind {
namespace {

IntensityMap intensity_map(float low, float high, const std::vector<float>& knots) {
  require(low < high, "low must be below high");
  require(knots.size() == IntensityMap::steps + 1, "knots must have 257 elements");
  IntensityMap out{low, high, {}};
  for (int k = 0; k <= IntensityMap::steps; ++k) out.knot[k] = knots[std::size_t(k)];
  return out;
}

const std::uint8_t* checked(const Mask& mask, const In<float, 3>& image) {
  if (!mask) return nullptr;
  for (int k = 0; k < 3; ++k) require(mask->shape(k) == image.shape(k), "a mask must have the shape of its image");
  return mask->data();
}

Out<float> pool_mapped(In<float, 3> image, std::array<int, 3> factor, float low, float high, std::vector<float> knots,
                       Mask mask, int threads, const Target& target) {
  const Extent n = extent(image, 0), f = {factor[0], factor[1], factor[2]};
  for (int k = 0; k < 3; ++k)
    require(factor[k] >= 1 && factor[k] <= 256 && factor[k] <= int(image.shape(k)),
            "factor must be 1 to the extent, at most 256");
  const IntensityMap map = intensity_map(low, high, knots);
  const std::uint8_t* inside = checked(mask, image);
  Out<float> out = make<float>({n.d / f.d, n.h / f.h, n.w / f.w});
  Call call(target, threads);
  call->pool_mapped(call.image(image), call.in(inside, image.size()), f, map, call.out(out));
  return out;
}

Out<float> sample_points(In<float, 3> image, In<float, 2> points, Mask mask, int threads, const Target& target) {
  require(points.shape(0) == 3 && image.size() > 0, "points must have shape (3, N), in voxels of an image with voxels");
  const std::uint8_t* inside = checked(mask, image);
  Out<float> out = make<float>({std::int64_t(points.shape(1))});
  Call call(target, threads);
  call->sample_points(call.image(image), call.in(inside, image.size()), call.in(points), std::int64_t(points.shape(1)),
                      call.out(out));
  return out;
}

void require_samples(const In<float, 2>& points, const In<float, 1>& values) {
  require(points.shape(0) == 3 && points.shape(1) == values.shape(0), "points must have shape (3, N), values (N,)");
}

SampleList samples(Call& call, const In<float, 2>& points, const In<float, 1>& values) {
  return {call.in(points), call.in(values), std::int64_t(values.shape(0))};
}

Out<float> sample_histogram(In<float, 2> points, In<float, 1> values, In<float, 3> moving, HostIn<float, 3> maps,
                            int bins, int threads, const Target& target) {
  require(maps.shape(1) == 3 && maps.shape(2) == 4, "maps must have shape (K, 3, 4)");
  require(bins >= 8 && bins <= 64 && moving.size() > 0, "bins must be 8 to 64, and moving must have voxels");
  require_samples(points, values);
  std::vector<IndexMap> list_of_maps(maps.shape(0));
  for (std::size_t i = 0; i < maps.size(); ++i) list_of_maps[i / 12].affine[i % 12] = maps.data()[i];
  Out<float> out = make<float>({std::int64_t(maps.shape(0)), bins, bins});
  Call call(target, threads);
  call->sample_histogram(samples(call, points, values), call.image(moving), list_of_maps.data(), int(maps.shape(0)),
                         bins, call.out(out));
  return out;
}

Out<double> sample_gradient(In<float, 2> points, In<float, 1> values, In<float, 3> moving, HostIn<float, 2> map,
                            In<float, 2> gain, int threads, const Target& target) {
  require(map.shape(0) == 3 && map.shape(1) == 4, "map must have shape (3, 4)");
  require(gain.shape(0) == gain.shape(1) && gain.shape(0) >= 8 && gain.shape(0) <= 64 && moving.size() > 0,
          "gain must be square with 8 to 64 bins, and moving must have voxels");
  require_samples(points, values);
  IndexMap index_map;
  for (int k = 0; k < 12; ++k) index_map.affine[k] = map.data()[k];
  Out<double> out = make<double>({3, 4});
  Call call(target, threads);
  call->sample_gradient(samples(call, points, values), call.image(moving), index_map, int(gain.shape(0)), call.in(gain),
                        call.out(out));
  return out;
}

}  // namespace

void bind_samples(nb::module_& m) {
  m.def("pool_mapped", &pool_mapped, "image"_a.noconvert(), "factor"_a, "low"_a, "high"_a, "knots"_a,
        "mask"_a = nb::none(), "threads"_a = 0, "target"_a = "");
  m.def("sample_points", &sample_points, "image"_a.noconvert(), "points"_a.noconvert(), "mask"_a = nb::none(),
        "threads"_a = 0, "target"_a = "");
  m.def("sample_histogram", &sample_histogram, "points"_a.noconvert(), "values"_a.noconvert(), "moving"_a.noconvert(),
        "maps"_a.noconvert(), "bins"_a, "threads"_a = 0, "target"_a = "");
  m.def("sample_gradient", &sample_gradient, "points"_a.noconvert(), "values"_a.noconvert(), "moving"_a.noconvert(),
        "map"_a.noconvert(), "gain"_a.noconvert(), "threads"_a = 0, "target"_a = "");
}

}  // namespace mmreg::bind
