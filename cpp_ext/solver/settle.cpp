#include "solver/settle.h"

#include "solver/affine_fit.h"
#include "solver/search.h"

namespace mmreg {
namespace {

constexpr int kFits = 5;
constexpr double kFar_vox = 0.75;  // an affine map that moves the body by more is taken out of the moving image

std::vector<std::uint8_t> body(const Operations& operations, Queue& queue, const DeformInput& input, float tissue,
                               const Found& found) {
  const std::size_t cells = std::size_t(voxels(found.n));
  TableMemory<float> pooled(operations, queue, cells);
  TableMemory<std::uint8_t> inside(operations, queue, cells);
  operations.pool(queue, input.fixed, 1, input.n, found.factor.f, pooled.data());
  operations.above(queue, pooled.data(), nullptr, std::int64_t(cells), tissue, inside.data());
  std::vector<std::uint8_t> host(cells);
  inside.download(host.data());
  return host;
}

}  // namespace

void Through::take_out(const AffineMap& more) {
  if (distance(more, AffineMap(), 1) == 0) return;
  affine = compose(affine, more);
  pulled_ = pull(operations_, queue_, given_, affine);
  input.moving = pulled_.moving.data(), input.moving_valid = pulled_.valid.data();
  filled_ = fill(operations_, queue_, input), input = filled_.input;
}

// Voxel i of a level stands for f i + (f - 1) / 2.
AffineMap of_whole(const AffineMap& map, const Factor& factor) {
  AffineMap up;
  for (int a = 0; a < 3; ++a) up(a, a) = factor.f[a], up(a, 3) = 0.5 * (factor.f[a] - 1);
  return compose(up, compose(map, invert(up)));
}

Smaller smaller(const Operations& operations, Queue& queue, const DeformInput& given, int wanted) {
  Smaller s{given, factor_of(wanted, given), {}, {}, {}, {}};
  const Extent n = s.input.n = extent_of(given.n, s.factor);
  const auto pooled = [&](const float* image) {
    TableMemory<float> out(operations, queue, std::size_t(voxels(n)));
    operations.pool(queue, image, 1, given.n, s.factor.f, out.data());
    return out;
  };
  const auto valid = [&](const std::uint8_t* mask) {
    return mask ? pooled_validity(operations, queue, mask, given.n, s.factor) : TableMemory<std::uint8_t>();
  };
  s.fixed = pooled(given.fixed), s.moving = pooled(given.moving);
  s.fixed_valid = valid(given.fixed_valid), s.moving_valid = valid(given.moving_valid);
  s.input.fixed = s.fixed.data(), s.input.moving = s.moving.data();
  s.input.fixed_valid = s.fixed_valid.data(), s.input.moving_valid = s.moving_valid.data();
  for (int a = 0; a < 3; ++a) s.input.spacing_mm[a] *= s.factor.f[a];
  return s;
}

AffineMap settle(const Operations& operations, Queue& queue, const DeformInput& given, const SearchSettings& s,
                 float tissue, const Interrupt& interrupt) {
  Through through(operations, queue, given);
  for (int i = 0; i < kFits && !interrupt(0); ++i) {
    const Found found = search(operations, queue, through.input, s);
    std::vector<float> u(found.u.size());
    found.u.download(u.data());
    const AffineFit fit = fit_affine(u, body(operations, queue, given, tissue, found), found.n);
    const AffineMap more = of_whole(fit.map, found.factor);
    if (fit.moved_vox * found.factor.f[2] < kFar_vox || !plausible(compose(through.affine, more))) break;
    through.take_out(more);
  }
  return through.affine;
}

}  // namespace mmreg
