// mmreg.hpp: mmreg.h for C++17. Handles close themselves, and errors are exceptions.
//
//   mmreg::Context context;
//   mmreg::Session session(context);
//   session.set_fixed(mmreg::Image(fixed.data(), {d, h, w}, fixed_affine));
//   const mmreg::Result result = session.register_image(mmreg::Image(moving.data(), {d, h, w}, moving_affine),
//                                                       mmreg::Outputs().displacement_mm(field));
//
// Threads: as in mmreg.h.
#ifndef MMREG_HPP
#define MMREG_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "mmreg.h"

namespace mmreg {

using Matrix = std::array<double, 16>;  // 4 x 4, row by row
using Shape = std::array<std::int64_t, 3>;

// A view of memory that belongs to the caller. Any container with data() and size() converts to it.
template <class T>
class Span {
 public:
  Span() = default;
  Span(T* data, std::size_t size) : data_(data), size_(size) {}
  template <class Container,
            class = std::enable_if_t<std::is_convertible_v<decltype(std::declval<Container&>().data()), T*>>>
  Span(Container& container) : Span(container.data(), container.size()) {}

  T* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return size_ * sizeof(T); }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

class Error : public std::runtime_error {
 public:
  Error(mmreg_status status, const char* code, const char* text)
      : std::runtime_error(text), status_(status), code_(code) {}
  mmreg_status status() const { return status_; }    // MMREG_GEOMETRY_ERROR, ...
  const std::string& code() const { return code_; }  // "MMREG_E_NO_OVERLAP"
  bool cancelled() const { return status_ == MMREG_CANCELLED_ERROR; }

 private:
  mmreg_status status_;
  std::string code_;
};

// Throws if a call failed; returns whether its answer has a remark, such as MMREG_DEGRADED.
inline mmreg_status check(mmreg_status status) {
  if (status < 0) throw Error(status, mmreg_last_code(), mmreg_last_error());
  return status;
}

template <class Struct>
Struct sized() {
  Struct out{};
  out.struct_size = sizeof out;
  return out;
}

template <class T>
constexpr std::int32_t dtype_of() {
  using Plain = std::remove_const_t<T>;
  if constexpr (std::is_same_v<Plain, float>)
    return MMREG_FLOAT32;
  else if constexpr (std::is_same_v<Plain, std::uint8_t>)
    return MMREG_UINT8;
  else if constexpr (std::is_same_v<Plain, std::int16_t>)
    return MMREG_INT16;
  else if constexpr (std::is_same_v<Plain, std::uint16_t>)
    return MMREG_UINT16;
  else if constexpr (std::is_same_v<Plain, std::int32_t>)
    return MMREG_INT32;
  else {
    static_assert(std::is_same_v<Plain, double>, "an image has voxels of float, double or integers of up to 32 bits");
    return MMREG_FLOAT64;
  }
}

class Image {  // a view: the memory must live until the call returns
 public:
  template <class T>
  Image(const T* data, const Shape& shape, const Matrix& affine) : image_(sized<mmreg_image>()) {
    image_.dtype = dtype_of<T>();
    image_.data = data;
    for (int a = 0; a < 3; ++a) image_.shape[a] = shape[std::size_t(a)];
    for (int k = 0; k < 16; ++k) image_.affine[k] = affine[std::size_t(k)];
  }
  Image& mask(const std::uint8_t* mask) { return image_.mask = mask, *this; }
  Image& timestamp_ns(std::uint64_t time) { return image_.timestamp_ns = time, *this; }
  Image& stride_bytes(const Shape& stride) {
    for (int a = 0; a < 3; ++a) image_.stride_bytes[a] = stride[std::size_t(a)];
    return *this;
  }
  const mmreg_image& get() const { return image_; }

 private:
  mmreg_image image_;
};

class CallOptions {
 public:
  CallOptions() : options_(sized<mmreg_call_options>()) {}
  CallOptions& deadline_ms(double ms) { return options_.deadline_ms = ms, *this; }
  CallOptions& from_headers() { return options_.start = MMREG_START_HEADERS, *this; }
  CallOptions& from(const Matrix& fixed_to_moving) {
    options_.start = MMREG_START_MATRIX;
    for (int k = 0; k < 16; ++k) options_.start_matrix[k] = fixed_to_moving[std::size_t(k)];
    return *this;
  }
  CallOptions& quality(std::int32_t quality) { return options_.quality = quality, *this; }  // MMREG_QUALITY_...
  CallOptions& outside(float value) {
    options_.has_outside = 1;
    options_.outside = value;
    return *this;
  }
  const mmreg_call_options& get() const { return options_; }

 private:
  mmreg_call_options options_;
};

class Outputs {  // views: results that are not given memory are left out
 public:
  Outputs() : outputs_(sized<mmreg_outputs>()) {}
  Outputs& displacement_mm(Span<float> to) { return set(outputs_.displacement_mm, outputs_.displacement_bytes, to); }
  Outputs& inverse_mm(Span<float> to) { return set(outputs_.inverse_mm, outputs_.inverse_bytes, to); }
  Outputs& warped(Span<float> to) { return set(outputs_.warped, outputs_.warped_bytes, to); }
  Outputs& valid(Span<std::uint8_t> to) { return set(outputs_.valid, outputs_.valid_bytes, to); }
  const mmreg_outputs& get() const { return outputs_; }

 private:
  template <class T>
  Outputs& set(T*& data, std::size_t& bytes, Span<T> to) {
    data = to.data();
    bytes = to.bytes();
    return *this;
  }
  mmreg_outputs outputs_;
};

using Result = mmreg_result;
using Health = mmreg_health;
using Log = std::function<void(std::int32_t level, const char* code, const char* text)>;

class Context {
 public:
  explicit Context(mmreg_context_options options = sized<mmreg_context_options>(), Log log = {})
      : log_(log ? std::make_unique<Log>(std::move(log)) : nullptr) {
    if (mmreg_abi_version() != MMREG_ABI_VERSION)
      throw Error(MMREG_BACKEND_UNAVAILABLE_ERROR, "MMREG_E_ABI", "libmmreg has another ABI version than mmreg.h.");
    if (log_) {
      options.log = [](void* user, std::int32_t level, const char* code, const char* text) {
        (*static_cast<Log*>(user))(level, code, text);
      };
      options.log_user = log_.get();
    }
    mmreg_context* made = nullptr;
    check(mmreg_context_create(&options, &made));
    context_.reset(made);
  }
  mmreg_context* get() const { return context_.get(); }

 private:
  struct Destroy {
    void operator()(mmreg_context* context) const { mmreg_context_destroy(&context); }
  };
  std::unique_ptr<Log> log_;  // outlives the context
  std::unique_ptr<mmreg_context, Destroy> context_;
};

// The folder that `mmreg deploy` wrote. Must outlive its sessions, and be destroyed before its context.
class Deployment {
 public:
  using Key = std::array<std::uint8_t, 32>;  // public, of Ed25519

  Deployment(const Context& context, const std::string& path) : Deployment(context, path, nullptr) {}
  Deployment(const Context& context, const std::string& path, const Key& key) : Deployment(context, path, key.data()) {}

  // Runs the golden pair ten times. Returns the largest deviation in mm and the slowest time in ms.
  std::pair<double, double> self_test() const {
    std::pair<double, double> out;
    check(mmreg_deployment_self_test(get(), &out.first, &out.second));
    return out;
  }
  std::string describe() const {
    std::size_t bytes = 0;
    check(mmreg_deployment_describe(get(), nullptr, &bytes));
    std::string text(bytes, '\0');
    check(mmreg_deployment_describe(get(), text.data(), &bytes));
    text.resize(bytes - 1);
    return text;
  }
  mmreg_deployment* get() const { return deployment_.get(); }

 private:
  Deployment(const Context& context, const std::string& path, const std::uint8_t* key) {
    mmreg_deployment* made = nullptr;
    check(mmreg_deployment_load(context.get(), path.c_str(), key, &made));
    deployment_.reset(made);
  }
  struct Destroy {
    void operator()(mmreg_deployment* deployment) const { mmreg_deployment_destroy(&deployment); }
  };
  std::unique_ptr<mmreg_deployment, Destroy> deployment_;
};

class Session {  // must be destroyed before its context
 public:
  explicit Session(const Context& context, const mmreg_session_options& options = sized<mmreg_session_options>()) {
    mmreg_session* made = nullptr;
    check(mmreg_session_create(context.get(), &options, &made));
    session_.reset(made);
  }

  void set_fixed(const Image& fixed) { check(mmreg_session_set_fixed(get(), &fixed.get())); }
  Result register_image(const Image& moving, const Outputs& outputs = {}, const CallOptions& options = {}) {
    Result result = sized<Result>();
    check(mmreg_session_register(get(), &moving.get(), &options.get(), &outputs.get(), &result));
    return result;
  }
  // Returns the time of the slowest run, ms.
  double warm_up(const Image& moving, int runs, const CallOptions& options = {}) {
    double slowest_ms = 0;
    check(mmreg_session_warm_up(get(), &moving.get(), &options.get(), runs, &slowest_ms));
    return slowest_ms;
  }
  void map_points(Span<const double> points_mm, Span<double> mapped_mm) {
    if (points_mm.size() % 3 || mapped_mm.size() < points_mm.size())
      throw Error(MMREG_INPUT_ERROR, "MMREG_E_ARGUMENT",
                  "Points must be (count, 3), and there must be room for as many.");
    check(mmreg_session_map_points(get(), points_mm.data(), points_mm.size() / 3, mapped_mm.data()));
  }
  void warp_labels(const Image& labels, Span<std::int32_t> warped) {
    check(mmreg_session_warp_labels(get(), &labels.get(), warped.data(), warped.bytes()));
  }
  void cancel() noexcept { mmreg_session_cancel(get()); }  // from any thread, or a signal handler
  Health health() const {
    Health out = sized<Health>();
    check(mmreg_session_health(get(), &out));
    return out;
  }
  mmreg_session* get() const { return session_.get(); }

 private:
  struct Destroy {
    void operator()(mmreg_session* session) const { mmreg_session_destroy(&session); }
  };
  std::unique_ptr<mmreg_session, Destroy> session_;
};

}  // namespace mmreg

#endif
