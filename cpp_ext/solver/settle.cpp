#include "solver/settle.h"

#include "solver/affine_fit.h"
#include "solver/search.h"

namespace mmreg {
namespace {

constexpr int kFits = 5;
constexpr double kFar_vox = 1.5;  // an affine map that moves the body by more is taken out of the moving image

// From indices of a level to those of the whole grid: voxel i stands for f i + (f - 1) / 2.
AffineMap of_whole(const AffineMap& map, const Factor& factor) {
  AffineMap up;
  for (int a = 0; a < 3; ++a) up(a, a) = factor.f[a], up(a, 3) = 0.5 * (factor.f[a] - 1);
  return compose(up, compose(map, invert(up)));
}

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

void Settled::fit(const SearchSettings& s, float tissue, const Interrupt& interrupt) {
  SearchSettings coarse = s;
  coarse.factor = s.factor + (s.factor + 1) / 2, coarse.radius = s.radius - 1, coarse.smoothing = 1;
  for (int i = 0; i < kFits && !interrupt(0); ++i) {
    const Found found = search(operations_, queue_, input, coarse);
    std::vector<float> u(found.u.size());
    found.u.download(u.data());
    const AffineFit fit = fit_affine(u, body(operations_, queue_, given_, tissue, found), found.n);
    const AffineMap more = of_whole(fit.map, found.factor);
    if (fit.moved_vox * found.factor.f[2] < kFar_vox || !plausible(compose(affine, more))) break;
    take_out(more);
  }
}

void Settled::take_out(const AffineMap& more) {
  affine = compose(affine, more);
  pulled_ = pull(operations_, queue_, given_, affine);
  input.moving = pulled_.moving.data(), input.moving_valid = pulled_.valid.data();
  filled_ = fill(operations_, queue_, input), input = filled_.input;
}

}  // namespace mmreg
