// Sums and extrema. Each piece of work has one partial result; these are combined in the order of the pieces.
#include <type_traits>

#include "core/length.h"
#include "cpu/target/operations.h"
#include "cpu/target/vectors.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr std::int64_t kPiece = 1 << 14;
constexpr float kInfinity = __builtin_inff();

typedef double Doubles __attribute__((vector_size(4 * kLanes)));  // half as many as Floats
typedef float HalfFloats __attribute__((vector_size(2 * kLanes)));

MMREG_INLINE Doubles both_halves(Floats v) {  // adds the halves of the vector in double
  HalfFloats low, high;
  std::memcpy(&low, &v, sizeof low);
  std::memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
  return __builtin_convertvector(low, Doubles) + __builtin_convertvector(high, Doubles);
}

MMREG_INLINE Ints finite(Floats v) { return abs(v) < kInfinity; }

struct Partial {
  double sum;
  float smallest, largest;
  std::int64_t finite;
};

template <class Count>
MMREG_INLINE void add(Floats v, Count used, Doubles& sum, Floats& low, Floats& high, std::int64_t& total) {
  Ints ok = finite(v);
  if constexpr (!std::is_same<Count, Whole>::value) ok &= lane_numbers() < splat(int(used));
  sum += both_halves(ok ? v : Floats{});
  low = min(ok ? v : splat(kInfinity), low);
  high = max(ok ? v : splat(-kInfinity), high);
  total += count(ok);
}

Partial summarize(const float* values, std::int64_t n) {
  Doubles sum{};
  Floats low = splat(kInfinity), high = splat(-kInfinity);
  Partial p{0, 0, 0, 0};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) add(load(values + i), Whole{}, sum, low, high, p.finite);
  if (i < n) add(load(values + i, int(n - i)), int(n - i), sum, low, high, p.finite);
  for (int k = 0; k < kLanes / 2; ++k) p.sum += sum[k];
  p.smallest = smallest(low);
  p.largest = largest(high);
  return p;
}

}  // namespace

Summary summary(Queue& queue, const float* values, std::int64_t count) {
  const std::int64_t pieces = (count + kPiece - 1) / kPiece;
  Scratch<Partial> partial(queue, pieces + 1);
  Partial* parts = partial;
  parallel(queue, count, kPiece, [=](std::int64_t begin, std::int64_t end) {
    parts[begin / kPiece] = summarize(values + begin, end - begin);
  });
  Partial all{0, kInfinity, -kInfinity, 0};
  for (std::int64_t i = 0; i < pieces; ++i) {
    all.sum += parts[i].sum;
    all.finite += parts[i].finite;
    if (parts[i].smallest < all.smallest) all.smallest = parts[i].smallest;
    if (parts[i].largest > all.largest) all.largest = parts[i].largest;
  }
  if (all.finite == 0) return {0, 0, 0, 0, count};
  return {all.sum, all.sum / double(all.finite), all.smallest, all.largest, count - all.finite};
}

namespace {

struct Farthest {
  float squared;
  std::int64_t not_finite;
};

}  // namespace

MaxDisplacement max_displacement(Queue& queue, const float* u, Extent n) {
  const std::int64_t count_all = voxels(n), pieces = (count_all + kPiece - 1) / kPiece;
  Scratch<Farthest> partial(queue, pieces + 1);
  Farthest* parts = partial;
  parallel(queue, count_all, kPiece, [=](std::int64_t begin, std::int64_t end) {
    Floats far{};
    std::int64_t bad = 0;
    const auto add = [&](std::int64_t i, auto used) {
      const Floats z = load(u + i, used), y = load(u + count_all + i, used), x = load(u + 2 * count_all + i, used);
      const Ints ok = finite(z) & finite(y) & finite(x);
      far = max(ok ? squared_length(z, y, x) : Floats{}, far);
      bad += kLanes - count(ok);  // unused lanes are 0
    };
    std::int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) add(i, Whole{});
    if (i < end) add(i, int(end - i));
    parts[begin / kPiece] = {largest(far), bad};
  });
  Farthest all{0, 0};
  for (std::int64_t i = 0; i < pieces; ++i) {
    if (parts[i].squared > all.squared) all.squared = parts[i].squared;
    all.not_finite += parts[i].not_finite;
  }
  return {__builtin_sqrt(double(all.squared)), all.not_finite};
}

}  // namespace mmreg::MMREG_TARGET
