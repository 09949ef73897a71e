// Reductions on the device in a fixed order.
#pragma once
#include "cuda/launch.h"
#include "cuda/queue.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

constexpr int kPieceValues = kBlockThreads * 16;  // values reduced by one block

// values[0] = the reduction of kBlockThreads values in shared memory, as a tree.
template <class T, class Join>
MMREG_DEVICE void fold_block(const Block& block, T* values, const Join& join) {
  for (int half = kBlockThreads / 2; half > 0; half /= 2)
    block.threads([=] MMREG_DEVICE(int t) {
      if (t < half) values[t] = join(values[t], values[t + half]);
    });
}

// partial[b] = the reduction of value(i) over piece b.
template <class T, class Value, class Join>
void fold_pieces(Queue& queue, std::int64_t count, T none, const Value& value, const Join& join, T* partial) {
  static_assert(sizeof(T) * kBlockThreads <= kMostSharedBytes, "T is too large for the memory of a block");
  const std::int64_t pieces = (count + kPieceValues - 1) / kPieceValues;
  for_blocks(queue, pieces, int(sizeof(T)) * kBlockThreads, [=] MMREG_DEVICE(const Block& block) {
    T* const values = reinterpret_cast<T*>(block.memory);
    const std::int64_t begin = std::int64_t(block.index) * kPieceValues;
    block.threads([=] MMREG_DEVICE(int t) {
      T sum = none;
      for (std::int64_t i = begin + t; i < begin + kPieceValues && i < count; i += kBlockThreads)
        sum = join(sum, value(i));
      values[t] = sum;
    });
    fold_block(block, values, join);
    block.threads([=] MMREG_DEVICE(int t) {
      if (t == 0) partial[block.index] = values[0];
    });
  });
}

template <class T>
struct Stored {  // one type for all levels, so that the recursion instantiates one function
  const T* values;
  MMREG_DEVICE T operator()(std::int64_t i) const { return values[i]; }
};

// result[0] = none joined with value(0), value(1), ... The result stays on the device.
template <class T, class Value, class Join>
void fold_on_device(Queue& queue, std::int64_t count, T none, const Value& value, const Join& join, T* result) {
  const std::int64_t pieces = (count + kPieceValues - 1) / kPieceValues;
  if (pieces <= 1) {
    if (count <= 0) return upload(queue, result, &none, sizeof none);
    return fold_pieces(queue, count, none, value, join, result);
  }
  const Scratch<T> partial(queue, pieces);
  fold_pieces(queue, count, none, value, join, partial.data());
  fold_on_device(queue, pieces, none, Stored<T>{partial.data()}, join, result);
}

// fold_on_device, followed by a download. Waits for the queue.
template <class T, class Value, class Join>
T fold(Queue& queue, std::int64_t count, T none, const Value& value, const Join& join) {
  const Scratch<T> result(queue, 1);
  fold_on_device(queue, count, none, value, join, result.data());
  T on_host = none;
  download(queue, &on_host, result.data(), sizeof on_host);
  return on_host;
}

}  // namespace mmreg::MMREG_TARGET
