#include "solver/deform/affine_search.h"

#include "solver/deform/dense_search.h"
#include "solver/math/affine_fit.h"

namespace mmreg {
namespace {

constexpr int kFits = 5;
constexpr double kFar_vox = 0.75;  // an affine map that moves the body by more is taken out of the moving image

std::vector<std::uint8_t> cells_of_body(const Context& context, const DeformInput& input, float tissue,
                                        const Found& found) {
  const Buffer<float> cells = pooled(context, input.fixed, input.n, found.factor);
  Buffer<std::uint8_t> inside(context, cells.size());
  context.above(cells.data(), nullptr, voxels(found.n), tissue, inside.data());
  std::vector<std::uint8_t> host(inside.size());
  inside.download(host.data());
  return host;
}

}  // namespace

void Through::take_out(const AffineMap& more) {
  if (distance(more, AffineMap(), 1) == 0) return;
  affine = compose(affine, more);
  pulled_ = pull(context_, given_, affine);
  input.moving = pulled_.moving.data(), input.moving_valid = pulled_.valid.data();
  filled_ = fill(context_, input), input = filled_.input;
}

AffineMap of_whole(const AffineMap& map, const Factor& factor) {
  const AffineMap up = to_whole(factor);
  return compose(up, compose(map, invert(up)));
}

Smaller smaller(const Context& context, const DeformInput& given, int wanted) {
  const Factor factor = factor_of(wanted, given);
  Smaller s{given,
            factor,
            pooled(context, given.fixed, given.n, factor),
            pooled(context, given.moving, given.n, factor),
            pooled_validity(context, given.fixed_valid, given.n, factor),
            pooled_validity(context, given.moving_valid, given.n, factor)};
  s.input.n = extent_of(given.n, factor);
  s.input.fixed = s.fixed.data(), s.input.moving = s.moving.data();
  s.input.fixed_valid = s.fixed_valid.data(), s.input.moving_valid = s.moving_valid.data();
  for (int a = 0; a < 3; ++a) s.input.spacing_mm[a] *= s.factor.f[a];
  return s;
}

AffineMap settle(const Context& context, const DeformInput& given, const SearchSettings& s, float tissue,
                 const Interrupt& interrupt) {
  Through through(context, given);
  for (int i = 0; i < kFits && !interrupt(0); ++i) {
    const Found found = search(context, through.input, s);
    std::vector<float> u(found.u.size());
    found.u.download(u.data());
    const AffineFit fit = fit_affine(u, cells_of_body(context, given, tissue, found), found.n);
    const AffineMap more = of_whole(fit.map, found.factor);
    if (fit.moved_vox * found.factor.f[2] < kFar_vox || !plausible(compose(through.affine, more))) break;
    through.take_out(more);
  }
  return through.affine;
}

}  // namespace mmreg
