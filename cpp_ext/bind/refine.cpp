// Bindings of the operations of the continuous refinement.
#include <nanobind/stl/tuple.h>

#include "bind/arrays.h"

namespace mmreg::bind {

static nb::ndarray<nb::numpy, std::uint16_t> interleave(In<float, 4> planes, int channels, int threads,
                                                        const Target& target) {
  const Extent n = extent(planes, 1);
  require(channels >= int(planes.shape(0)), "channels must hold all planes");
  Out<std::uint16_t> features = make<std::uint16_t>({n.d, n.h, n.w, channels});
  Call call(target, threads);
  call->interleave(call.image(planes), channels, half(call.out(features)));
  return features;
}

static void append_intensity_channels(nb::ndarray<std::uint16_t, nb::ndim<4>, nb::c_contig> features,
                                      In<float, 3> image, std::optional<In<std::uint8_t, 3>> valid, float scale,
                                      float offset, int threads, const Target& target) {
  const int channels = int(features.shape(3));
  require(channels % 16 == 0 && channels >= 16, "features must have a multiple of 16 channels");
  require(features.size() == image.size() * channels, "features and image must have the same extent");
  require(!valid || valid->size() == image.size(), "valid and image must have the same extent");
  Call call(target, threads);
  call->append_intensity_channels(call.image(image), call.in(valid), scale, offset, channels,
                                  half(call.in_out(features)));
}

static nb::tuple similarity_gradient(In<std::uint16_t, 4> fixed, In<std::uint16_t, 4> moving, In<float, 4> u,
                                     In<std::int32_t, 2> rows, std::optional<In<float, 2>> gain, float feature_weight,
                                     float intensity_weight, int threads, const Target& target) {
  const Extent n = extent(fixed, 0);
  const int channels = int(fixed.shape(3));
  require(channels % 16 == 0 && channels >= 16, "features must have a multiple of 16 channels");
  require(fixed.size() == moving.size() && u.size() * channels == 3 * fixed.size(),
          "all arrays must be on the same grid");
  require(rows.shape(0) == std::size_t(n.d) * n.h && rows.shape(1) == 2, "rows must have shape (D * H, 2)");
  require(!gain || gain->size() == kHistogramCells, "gain must have shape (32, 32)");
  Out<float> out = make<float>({3, n.d, n.h, n.w});
  Out<double> histogram = make<double>({kHistogramBins, kHistogramBins});
  SimilaritySums sums{};
  {
    Call call(target, threads);
    call->similarity_gradient(SimilarityGradientArguments{
        half(call.in(fixed)), half(call.in(moving)), channels, n, call.in(rows), call.in(u),
        gain ? call.in(*gain) : nullptr, feature_weight, intensity_weight, call.out(out), histogram.data(), &sums});
  }
  return nb::make_tuple(out, histogram,
                        nb::make_tuple(sums.features, sums.features_squared, sums.intensity_squared, sums.count));
}

static Out<float> adam_step(In<float, 4> gradient, nb::ndarray<float, nb::ndim<4>, nb::c_contig> mean,
                            nb::ndarray<float, nb::ndim<3>, nb::c_contig> square, int iteration, float mean_decay,
                            float square_decay, float floor, float rate_vox, int threads, const Target& target) {
  const Extent n = extent(gradient, 1);
  require(gradient.shape(0) == 3 && mean.size() == gradient.size() && 3 * square.size() == gradient.size(),
          "all arrays must be on the same grid");
  require(iteration >= 1, "iterations count from 1");
  Out<float> step = make<float>({3, n.d, n.h, n.w});
  Call call(target, threads);
  call->adam_step(AdamStepArguments{call.in(gradient), n, call.in_out(mean), call.in_out(square), iteration, mean_decay,
                                    square_decay, floor, rate_vox, call.out(step)});
  return step;
}

void bind_refine(nb::module_& m) {
  m.def("interleave", &interleave, "planes"_a.noconvert(), "channels"_a, "threads"_a = 0, "target"_a = "",
        "Return planes (C, D, H, W) as bits of half-precision features (D, H, W, channels), padded by 0.");
  m.def("append_intensity_channels", &append_intensity_channels, "features"_a.noconvert(), "image"_a.noconvert(),
        "valid"_a.none(), "scale"_a, "offset"_a, "threads"_a = 0, "target"_a = "");
  m.def("similarity_gradient", &similarity_gradient, "fixed"_a.noconvert(), "moving"_a.noconvert(),
        "displacement"_a.noconvert(), "rows"_a.noconvert(), "gain"_a.none(), "feature_weight"_a = 1.0f,
        "intensity_weight"_a = 1.0f, "threads"_a = 0, "target"_a = "");
  m.def("adam_step", &adam_step, "gradient"_a.noconvert(), "mean"_a.noconvert(), "square"_a.noconvert(), "iteration"_a,
        "mean_decay"_a, "square_decay"_a, "floor"_a, "rate_vox"_a, "threads"_a = 0, "target"_a = "");
}

}  // namespace mmreg::bind
