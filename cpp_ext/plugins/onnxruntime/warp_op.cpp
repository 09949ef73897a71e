// The operator mmreg::Warp for ONNX Runtime: warps an image (N, C, ...) by a displacement (N, dims, ...), in voxels, to
// (N, C, ...) on the grid of the displacement. Attributes: padding, "zeros" or "border"; threads, number of threads of
// the session; device, number of the CUDA device.
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "ops/batch_warp.h"
#include "ops/open.h"
#include "plugins/onnxruntime/session_queue.h"

namespace mmreg::onnxruntime {
namespace {

struct Kernel {
  const Api* api;
  Border border;
  int threads, device;
};

template <class Body>
Status* status_of(const Api* api, const Body& body) noexcept {  // exceptions must not reach ONNX Runtime
  try {
    body();
    return nullptr;
  } catch (const Refused& refused) {
    return refused.status;
  } catch (const std::exception& error) {
    return create_status(api, kFail, error.what());
  }
}

int number(const Api* api, const KernelInfo* info, const char* name) {
  std::int64_t value = 0;
  check(attribute_int(api, info, name, &value));
  return int(value);
}

Border border(const Api* api, const KernelInfo* info) {
  char text[16];
  std::size_t size = sizeof text;  // including the terminating zero
  check(attribute_text(api, info, "padding", text, &size));
  const std::string padding(text);
  if (padding == "zeros") return Border::zero;
  if (padding == "border") return Border::extend;
  throw Refused{create_status(api, kInvalidArgument, ("mmreg::Warp has no padding " + padding).c_str())};
}

Status* create(const CustomOp*, const Api* api, const KernelInfo* info, void** kernel) {
  return status_of(api, [&] {
    const int threads = number(api, info, "threads");
    *kernel = new Kernel{api, border(api, info), threads < 1 ? 1 : threads, number(api, info, "device")};
  });
}

struct Tensor {
  const float* data;
  Shape shape;
};

Tensor input_of(const Kernel& kernel, const KernelContext* context, std::size_t index) {
  const Value* value = nullptr;
  check(input(kernel.api, context, index, &value));
  TensorInfo* info = nullptr;
  check(tensor_info(kernel.api, value, &info));
  std::size_t axes = 0;
  Status* status = rank(kernel.api, info, &axes);
  Shape shape(axes);
  if (!status) status = dimensions(kernel.api, info, shape.data(), axes);
  release_info(kernel.api, info);
  check(status);
  void* data = nullptr;
  check(tensor_data(kernel.api, const_cast<Value*>(value), &data));
  return {static_cast<const float*>(data), shape};
}

void run(const Kernel& kernel, KernelContext* call, const Context& context) {
  const Tensor image = input_of(kernel, call, 0), u = input_of(kernel, call, 1);
  const Shape shape = batch_warp_shape(image.shape, u.shape);
  Value* warped = nullptr;
  check(output(kernel.api, call, 0, shape.data(), shape.size(), &warped));
  void* data = nullptr;
  check(tensor_data(kernel.api, warped, &data));
  batch_warp(context, image.data, image.shape, u.data, u.shape, kernel.border, static_cast<float*>(data));
}

Status* compute(void* pointer, KernelContext* context) {
  const Kernel& kernel = *static_cast<const Kernel*>(pointer);
  return status_of(kernel.api, [&] {
    SessionQueue queue(kernel.api, context, kernel.threads);
    run(kernel, context, Context(*cpu_operations(), queue));
  });
}

// Runs on the session's stream. Queues are cached, since the destructor of a queue waits for its stream. A later stream
// with the same handle can use the same queue.
Status* compute_on_device(void* pointer, KernelContext* context) {
  const Kernel& kernel = *static_cast<const Kernel*>(pointer);
  return status_of(kernel.api, [&] {
    void* stream = nullptr;
    check(gpu_stream(kernel.api, context, &stream));
    if (!stream) stream = reinterpret_cast<void*>(1);  // cudaStreamLegacy, the default stream
    static std::mutex mutex;
    static auto& places = *new std::map<std::pair<int, void*>, Place>;  // never destroyed: CUDA is unloaded earlier
    const std::lock_guard<std::mutex> hold(mutex);
    auto place = places.find({kernel.device, stream});
    if (place == places.end()) {
      Place opened = open_place("cuda:" + std::to_string(kernel.device), 0, stream);
      place = places.emplace(std::make_pair(kernel.device, stream), std::move(opened)).first;
    }
    run(kernel, context, place->second.context());
  });
}

constexpr CustomOp warp_on(const char* (*provider)(const CustomOp*), Status* (*compute_v2)(void*, KernelContext*)) {
  CustomOp op{};
  op.version = kCustomOpVersion;
  op.name = [](const CustomOp*) { return "Warp"; };
  op.provider = provider;
  op.inputs = [](const CustomOp*) { return std::size_t(2); };
  op.outputs = [](const CustomOp*) { return std::size_t(1); };
  op.input_type = op.output_type = [](const CustomOp*, std::size_t) { return kFloat32; };
  op.input_characteristic = op.output_characteristic = [](const CustomOp*, std::size_t) { return 0; };  // required
  op.input_memory = [](const CustomOp*, std::size_t) { return 0; };  // memory of the provider
  op.variadic_inputs = op.variadic_outputs = [](const CustomOp*) { return 1; };
  op.variadic_inputs_alike = op.variadic_outputs_alike = [](const CustomOp*) { return 1; };
  op.destroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  op.create_v2 = create;
  op.compute_v2 = compute_v2;
  return op;
}

constexpr CustomOp kOnCpu = warp_on([](const CustomOp*) -> const char* { return nullptr; }, compute);
constexpr CustomOp kOnCuda = warp_on([](const CustomOp*) { return "CUDAExecutionProvider"; }, compute_on_device);

Domain* domain_of(const Api* api) {  // never destroyed: sessions keep pointers to it
  static std::mutex mutex;
  static auto& domains = *new std::map<const Api*, Domain*>;
  const std::lock_guard<std::mutex> hold(mutex);
  Domain*& domain = domains[api];
  if (domain) return domain;
  Domain* created = nullptr;
  check(create_domain(api, "mmreg", &created));
  check(add_to_domain(api, created, &kOnCpu));
  check(add_to_domain(api, created, &kOnCuda));
  return domain = created;
}

}  // namespace

void check(Status* status) {
  if (status) throw Refused{status};
}

}  // namespace mmreg::onnxruntime

extern "C" __attribute__((visibility("default"))) mmreg::onnxruntime::Status* RegisterCustomOps(
    mmreg::onnxruntime::SessionOptions* options, const mmreg::onnxruntime::ApiBase* base) {
  using namespace mmreg::onnxruntime;
  const Api* const api = base->get(kApiVersion);
  if (!api) return create_status(base->get(1), kFail, "the operations of mmreg need ONNX Runtime 1.17 or later");
  return status_of(api, [&] { check(add_domain(api, options, domain_of(api))); });
}
