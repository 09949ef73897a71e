// The part of OpenVINO's C interface that is used here, as in the headers of its wheel (openvino/c/*.h, 2026.4). It is
// declared here so that nothing of OpenVINO is needed to build; a library without one of the functions is refused.
#pragma once
#include <cstddef>
#include <cstdint>

#include "capi/engines/library.h"

namespace mmreg::capi::openvino {

struct Core;
struct Model;
struct Compiled;
struct Request;
struct Tensor;

struct Version {
  const char *build_number, *description;
};

struct Shape {
  std::int64_t rank;
  std::int64_t* lengths;
};

using Status = int;                           // 0: success
constexpr unsigned kFloat32 = 4, kByte = 16;  // ov_element_type_e

struct Api {
  explicit Api(const Library&);

  Status (*get_version)(Version*);
  void (*free_version)(Version*);
  const char* (*last_error)();
  void (*free_text)(const char*);
  Status (*create_core)(Core**);
  void (*free_core)(Core*);
  Status (*core_property)(const Core*, const char* device, const char* key, char** value);
  Status (*read_model)(const Core*, const char* xml, std::size_t bytes, const Tensor* weights, Model**);
  void (*free_model)(Model*);
  Status (*compile)(const Core*, const Model*, const char* device, std::size_t texts, Compiled**, ...);
  Status (*compiled_property)(const Compiled*, const char* key, char** value);
  void (*free_compiled)(Compiled*);
  Status (*create_request)(const Compiled*, Request**);
  void (*free_request)(Request*);
  Status (*set_tensor)(Request*, const char* name, const Tensor*);
  Status (*set_output)(Request*, std::size_t index, const Tensor*);
  Status (*start)(Request*);
  Status (*wait)(Request*);
  Status (*cancel)(Request*);
  Status (*create_shape)(std::int64_t rank, const std::int64_t* lengths, Shape*);
  Status (*free_shape)(Shape*);
  Status (*create_tensor)(unsigned type, Shape, void* memory, Tensor**);
  void (*free_tensor)(Tensor*);
};

inline Api::Api(const Library& library) {
  library.find(get_version, "ov_get_openvino_version");
  library.find(free_version, "ov_version_free");
  library.find(last_error, "ov_get_last_err_msg");
  library.find(free_text, "ov_free");
  library.find(create_core, "ov_core_create");
  library.find(free_core, "ov_core_free");
  library.find(core_property, "ov_core_get_property");
  library.find(read_model, "ov_core_read_model_from_memory_buffer");
  library.find(free_model, "ov_model_free");
  library.find(compile, "ov_core_compile_model");
  library.find(compiled_property, "ov_compiled_model_get_property");
  library.find(free_compiled, "ov_compiled_model_free");
  library.find(create_request, "ov_compiled_model_create_infer_request");
  library.find(free_request, "ov_infer_request_free");
  library.find(set_tensor, "ov_infer_request_set_tensor");
  library.find(set_output, "ov_infer_request_set_output_tensor_by_index");
  library.find(start, "ov_infer_request_start_async");
  library.find(wait, "ov_infer_request_wait");
  library.find(cancel, "ov_infer_request_cancel");
  library.find(create_shape, "ov_shape_create");
  library.find(free_shape, "ov_shape_free");
  library.find(create_tensor, "ov_tensor_create_from_host_ptr");
  library.find(free_tensor, "ov_tensor_free");
}

}  // namespace mmreg::capi::openvino
