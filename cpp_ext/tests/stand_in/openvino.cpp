#include <chrono>
#include <cstdarg>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <thread>

#include "tests/stand_in/stand_in.h"

// Types and functions as in openvino/c/*.h.
namespace {

using mmreg::test::StandIn;

StandIn state;
constexpr int kCancelled = -13, kFailed = -1;

struct Shape {
  std::int64_t rank;
  std::int64_t* lengths;
};
struct Version {
  const char *build_number, *description;
};
struct Object {};  // core, model, compiled network
struct Tensor {
  float* memory;
  std::size_t count;
};
struct Request {
  std::map<std::string, Tensor> inputs;
  Tensor output{};
  std::atomic<bool> cancelled{false};
};

char* copied(const char* text) {
  char* const out = new char[std::strlen(text) + 1];
  return std::strcpy(out, text);
}

void wait_a_little() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

int waited(const Request& request) {
  while (state.behaviour == StandIn::slow && !request.cancelled) wait_a_little();
  while (state.behaviour == StandIn::deaf) wait_a_little();
  if (request.cancelled) return kCancelled;
  return state.behaviour == StandIn::failing ? kFailed : 0;
}

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED StandIn* mmreg_stand_in() { return &state; }
EXPORTED int ov_get_openvino_version(Version* out) {
  *out = {copied("1.2.3-stand-in"), copied("")};
  return 0;
}
EXPORTED void ov_version_free(Version* version) {
  delete[] version->build_number;
  delete[] version->description;
}
EXPORTED const char* ov_get_last_err_msg() { return copied("the stand-in fails on request\nhere"); }
EXPORTED void ov_free(const char* text) { delete[] text; }
EXPORTED int ov_core_create(Object** out) { return *out = new Object, 0; }
EXPORTED void ov_core_free(Object* core) { delete core; }
EXPORTED int ov_core_get_property(const Object*, const char*, const char*, char** value) {
  return *value = copied("FP32"), 0;
}
EXPORTED int ov_core_read_model_from_memory_buffer(const Object*, const char* xml, std::size_t bytes, const Tensor*,
                                                   Object** out) {
  if (std::string(xml, bytes) != "<net/>") return kFailed;
  return *out = new Object, 0;
}
EXPORTED void ov_model_free(Object* model) { delete model; }
EXPORTED int ov_core_compile_model(const Object*, const Object*, const char*, std::size_t count, Object** out, ...) {
  va_list texts;
  va_start(texts, out);
  for (std::size_t k = 0; k < count; k += 2) {
    const std::string key = va_arg(texts, const char*), value = va_arg(texts, const char*);
    if (key == "INFERENCE_NUM_THREADS") state.threads = std::stoi(value);
  }
  va_end(texts);
  return *out = new Object, 0;
}
EXPORTED int ov_compiled_model_get_property(const Object*, const char*, char** value) {
  return *value = copied("f32"), 0;
}
EXPORTED void ov_compiled_model_free(Object* compiled) { delete compiled; }
EXPORTED int ov_compiled_model_create_infer_request(const Object*, Request** out) {
  ++state.requests;
  return *out = new Request, 0;
}
EXPORTED void ov_infer_request_free(Request* request) {
  --state.requests;
  delete request;
}
EXPORTED int ov_infer_request_set_tensor(Request* request, const char* name, const Tensor* tensor) {
  return request->inputs[name] = *tensor, 0;
}
EXPORTED int ov_infer_request_set_output_tensor_by_index(Request* request, std::size_t, const Tensor* tensor) {
  return request->output = *tensor, 0;
}
EXPORTED int ov_infer_request_start_async(Request* request) {
  ++state.runs;
  return request->cancelled = false, 0;
}
EXPORTED int ov_infer_request_wait(Request* request) {
  if (const int status = waited(*request)) return status;
  const Tensor &fixed = request->inputs.at("fixed"), &moving = request->inputs.at("moving");
  for (std::size_t i = 0; i < fixed.count; ++i) {
    request->output.memory[i] = mmreg::test::along_h(fixed.memory[i]);
    request->output.memory[fixed.count + i] = mmreg::test::along_w(moving.memory[i]);
  }
  if (state.behaviour == StandIn::not_finite) request->output.memory[7] = std::numeric_limits<float>::infinity();
  return 0;
}
EXPORTED int ov_infer_request_cancel(Request* request) {
  ++state.cancellations;
  return request->cancelled = true, 0;
}
EXPORTED int ov_shape_create(std::int64_t rank, const std::int64_t* lengths, Shape* out) {
  out->rank = rank;
  out->lengths = new std::int64_t[std::size_t(rank)];
  std::memcpy(out->lengths, lengths, std::size_t(rank) * sizeof *lengths);
  return 0;
}
EXPORTED int ov_shape_free(Shape* shape) {
  delete[] shape->lengths;
  return 0;
}
EXPORTED int ov_tensor_create_from_host_ptr(unsigned, Shape shape, void* memory, Tensor** out) {
  std::size_t count = 1;
  for (std::int64_t a = 0; a < shape.rank; ++a) count *= std::size_t(shape.lengths[a]);
  return *out = new Tensor{static_cast<float*>(memory), count}, 0;
}
EXPORTED void ov_tensor_free(Tensor* tensor) { delete tensor; }
