// Owner of memory of an operation table. It stores the extent of its voxels and converts to the views that operations
// take: an image, a mask, features or a displacement.
#pragma once
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "ops/context.h"

namespace mmreg {

template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Context& context, std::size_t count) : Buffer(context, count, {1, 1, int(count)}, 1) {}  // one row
  Buffer(const Context& context, Extent n, int channels = 1)
      : Buffer(context, std::size_t(voxels(n)) * std::size_t(channels), n, channels) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() {
    if (data()) context_->release(data());
  }

  T* data() const { return view_.data; }
  Extent extent() const { return view_.n; }
  std::size_t size() const { return count_; }
  operator ImageView<const T>() const { return {data(), view_.n, view_.channels}; }
  operator FeatureImage() const { return {data(), view_.n, view_.channels}; }
  operator Displacement() const { return {data(), view_.n}; }
  void upload(const T* from) { context_->upload(data(), from, sizeof(T) * count_); }
  void download(T* to) const { context_->download(to, data(), sizeof(T) * count_); }

 private:
  Buffer(const Context& context, std::size_t count, Extent n, int channels)
      : context_(context),
        count_(count),
        view_{static_cast<T*>(context.allocate(sizeof(T) * (count ? count : 1))), n, channels} {}
  void swap(Buffer& other) {
    std::swap(context_, other.context_);
    std::swap(count_, other.count_);
    std::swap(view_, other.view_);
  }

  std::optional<Context> context_;
  std::size_t count_ = 0;
  ImageView<T> view_{};
};

template <class T>
Buffer<T> uploaded(const Context& context, const std::vector<T>& values) {
  Buffer<T> memory(context, values.size());
  memory.upload(values.data());
  return memory;
}

inline Buffer<float> constant(const Context& context, Extent n, float value, int channels = 1) {
  Buffer<float> memory(context, n, channels);
  context.fill(std::int64_t(memory.size()), value, memory.data());
  return memory;
}

}  // namespace mmreg
