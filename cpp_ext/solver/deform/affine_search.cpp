#include "solver/deform/affine_search.h"

#include "solver/deform/dense_search.h"
#include "solver/math/affine_fit.h"

namespace mmreg {
namespace {

constexpr int kMostFits = 5;
constexpr double kFar_vox = 0.75;  // the search is repeated after a fit that moves the body by more than this

std::vector<std::uint8_t> cells_of_body(const Context& context, const DeformInput& input, float tissue,
                                        const DenseSearchResult& result) {
  const Buffer<float> cells = pooled(context, {input.fixed, input.n}, result.factor);
  Buffer<std::uint8_t> inside(context, cells.extent());
  context.threshold(cells.data(), nullptr, std::int64_t(cells.size()), tissue, inside.data());
  std::vector<std::uint8_t> host(inside.size());
  inside.download(host.data());
  return host;
}

}  // namespace

void AffineWarpedPair::absorb(const AffineMap& more) {
  if (distance(more, AffineMap(), 1) == 0) return;
  affine = compose(affine, more);
  warped_ = warp_moving(context_, original_, affine);
  input.moving = warped_.moving.data();
  input.moving_valid = warped_.valid.data();
  extrapolated_ = extrapolate(context_, input);
  input = extrapolated_.input;
}

AffineMap on_whole_grid(const AffineMap& map, const Factor& factor) {
  const AffineMap up = to_whole(factor);
  return compose(up, compose(map, invert(up)));
}

Downsampled downsample(const Context& context, const DeformInput& input, int along_finest) {
  const Factor factor = factor_of(along_finest, input);
  Downsampled s{input,
                factor,
                pooled(context, {input.fixed, input.n}, factor),
                pooled(context, {input.moving, input.n}, factor),
                pooled_validity(context, {input.fixed_valid, input.n}, factor),
                pooled_validity(context, {input.moving_valid, input.n}, factor)};
  s.input.n = s.fixed.extent();
  s.input.fixed = s.fixed.data();
  s.input.moving = s.moving.data();
  s.input.fixed_valid = s.fixed_valid.data();
  s.input.moving_valid = s.moving_valid.data();
  for (int a = 0; a < 3; ++a) s.input.spacing_mm[a] *= s.factor.f[a];
  return s;
}

AffineMap search_affine(const Context& context, const DeformInput& input, const SearchSettings& s, float tissue,
                        const Interrupt& interrupt) {
  AffineWarpedPair pair(context, input);
  for (int i = 0; i < kMostFits && !interrupt(0); ++i) {
    const DenseSearchResult result = dense_search(context, pair.input, s);
    std::vector<float> u(result.u.size());
    result.u.download(u.data());
    const AffineFit fit = fit_affine(u, cells_of_body(context, input, tissue, result), result.u.extent());
    const AffineMap more = on_whole_grid(fit.map, result.factor);
    if (fit.moved_vox * result.factor.f[2] < kFar_vox || !plausible(compose(pair.affine, more))) break;
    pair.absorb(more);
  }
  return pair.affine;
}

}  // namespace mmreg
