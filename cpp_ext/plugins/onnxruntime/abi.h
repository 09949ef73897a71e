// The part of ONNX Runtime's C interface that is used here. This project is built only from packages for Python, Debian
// 12 or npm, and none of them contains onnxruntime_c_api.h; the fifteen functions are therefore declared here. The
// table of functions only grows at its end: a number below is an index into it, and version 17 (ONNX Runtime 1.17) has
// them all. Source: onnxruntime_c_api.h, and the order of the table in onnxruntime_c_api.cc.
#pragma once
#include <cstddef>
#include <cstdint>

namespace mmreg::onnxruntime {

struct Status;
struct Value;
struct TensorInfo;
struct KernelInfo;
struct KernelContext;
struct SessionOptions;
struct Domain;

struct Api {
  void* functions[276];
};

struct ApiBase {
  const Api* (*get)(std::uint32_t version);  // nullptr, and a message on stderr, if unsupported
  const char* (*version)();
};

constexpr std::uint32_t kApiVersion = 17;
constexpr int kFail = 1, kInvalidArgument = 2;  // OrtErrorCode
constexpr int kFloat32 = 1;                     // ONNXTensorElementDataType

template <int place, class Result, class... Arguments>
struct Function {
  Result operator()(const Api* api, Arguments... arguments) const {
    return reinterpret_cast<Result (*)(Arguments...)>(api->functions[place])(arguments...);
  }
};

constexpr Function<0, Status*, int, const char*> create_status;
constexpr Function<26, Status*, const char*, Domain**> create_domain;
constexpr Function<27, Status*, Domain*, const struct CustomOp*> add_to_domain;
constexpr Function<28, Status*, SessionOptions*, Domain*> add_domain;
constexpr Function<51, Status*, Value*, void**> tensor_data;
constexpr Function<61, Status*, const TensorInfo*, std::size_t*> rank;
constexpr Function<62, Status*, const TensorInfo*, std::int64_t*, std::size_t> dimensions;
constexpr Function<65, Status*, const Value*, TensorInfo**> tensor_info;
constexpr Function<86, Status*, const KernelInfo*, const char*, std::int64_t*> attribute_int;
constexpr Function<87, Status*, const KernelInfo*, const char*, char*, std::size_t*> attribute_text;
constexpr Function<90, Status*, const KernelContext*, std::size_t, const Value**> input;
constexpr Function<91, Status*, KernelContext*, std::size_t, const std::int64_t*, std::size_t, Value**> output;
constexpr Function<99, void, TensorInfo*> release_info;
constexpr Function<193, Status*, const KernelContext*, void**> gpu_stream;
constexpr Function<274, Status*, const KernelContext*, void (*)(void*, std::size_t), std::size_t, std::size_t, void*>
    parallel_for;

// OrtCustomOp of version 16: the types of a node and its kernel. Later versions append members that are not needed.
struct CustomOp {
  std::uint32_t version;
  void* (*create)(const CustomOp*, const Api*, const KernelInfo*);
  const char* (*name)(const CustomOp*);
  const char* (*provider)(const CustomOp*);
  int (*input_type)(const CustomOp*, std::size_t);
  std::size_t (*inputs)(const CustomOp*);
  int (*output_type)(const CustomOp*, std::size_t);
  std::size_t (*outputs)(const CustomOp*);
  void (*compute)(void* kernel, KernelContext*);
  void (*destroy)(void* kernel);
  int (*input_characteristic)(const CustomOp*, std::size_t);
  int (*output_characteristic)(const CustomOp*, std::size_t);
  int (*input_memory)(const CustomOp*, std::size_t);
  int (*variadic_inputs)(const CustomOp*);
  int (*variadic_inputs_alike)(const CustomOp*);
  int (*variadic_outputs)(const CustomOp*);
  int (*variadic_outputs_alike)(const CustomOp*);
  Status* (*create_v2)(const CustomOp*, const Api*, const KernelInfo*, void** kernel);
  Status* (*compute_v2)(void* kernel, KernelContext*);
};
constexpr std::uint32_t kCustomOpVersion = 16;

}  // namespace mmreg::onnxruntime
