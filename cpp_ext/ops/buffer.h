// Memory of an operation table that frees itself.
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
  Buffer(const Context& context, std::size_t count)
      : context_(context), count_(count), data_(static_cast<T*>(context.allocate(sizeof(T) * (count ? count : 1)))) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() {
    if (data_) context_->release(data_);
  }

  T* data() const { return data_; }
  std::size_t size() const { return count_; }
  void upload(const T* from) { context_->upload(data_, from, sizeof(T) * count_); }
  void download(T* to) const { context_->download(to, data_, sizeof(T) * count_); }

 private:
  void swap(Buffer& other) {
    std::swap(context_, other.context_);
    std::swap(count_, other.count_);
    std::swap(data_, other.data_);
  }

  std::optional<Context> context_;
  std::size_t count_ = 0;
  T* data_ = nullptr;
};

template <class T>
Buffer<T> uploaded(const Context& context, const std::vector<T>& values) {
  Buffer<T> memory(context, values.size());
  memory.upload(values.data());
  return memory;
}

inline Buffer<float> constant(const Context& context, std::int64_t count, float value) {
  Buffer<float> memory(context, std::size_t(count));
  context.fill(count, value, memory.data());
  return memory;
}

}  // namespace mmreg
