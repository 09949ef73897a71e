// mmreg::Warp for programs that use TensorRT without Python: a plugin library (IPluginV3) for models with that node,
// and for engines built with the plugin of backends/tensorrt_plugin.py, whose name, version and fields it shares. Load
// it by IPluginRegistry::loadLibrary, as `trtexec --dynamicPlugins` does; it does not register itself, since that call
// rejects registered plugins.
//
// Not yet run by TensorRT. Interfaces: NvInferRuntime.h of TensorRT 10.
#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstring>
#include <new>
#include <stdexcept>
#include <string_view>

#include "ops/batch_warp.h"
#include "plugins/tensorrt/warp_entries.h"

namespace mmreg::tensorrt {
namespace {

using namespace nvinfer1;

constexpr const char* kPaddings[] = {"zeros", "border"};
constexpr const char *kName = "Warp", *kVersion = "1", *kNamespace = "mmreg";

Shape shape_of(const PluginTensorDesc& tensor) { return Shape(tensor.dims.d, tensor.dims.d + tensor.dims.nbDims); }

int blocks(std::int64_t count, int size) { return int((count + size - 1) / size); }

// TensorRT calls plugins with the stream's device current to the thread.
cudaError_t launch(const Dims& image, const Dims& u, const void* from, const void* field, int extend, void* to,
                   cudaStream_t stream) {
  const int spatial = image.nbDims - 2;
  int scalars[8] = {int(image.d[1])};  // channels, extents of both, border: arguments of the kernels
  for (int axis = 0; axis < spatial; ++axis) {
    scalars[1 + axis] = int(image.d[2 + axis]);
    scalars[1 + spatial + axis] = int(u.d[2 + axis]);
  }
  scalars[1 + 2 * spatial] = extend;
  void* arguments[11] = {&from, &field};
  for (int k = 0; k < 2 + 2 * spatial; ++k) arguments[2 + k] = &scalars[k];
  arguments[4 + 2 * spatial] = &to;
  const std::int64_t rows = spatial == 3 ? u.d[2] * u.d[3] : u.d[2];
  const dim3 grid(blocks(rows, kBlockRows), blocks(u.d[1 + spatial], kBlockColumns), int(u.d[0]));
  const void* const entry = spatial == 3 ? reinterpret_cast<const void*>(&mmreg_warp_volumes)
                                         : reinterpret_cast<const void*>(&mmreg_warp_planes);
  return cudaLaunchKernel(entry, grid, dim3(kBlockColumns, kBlockRows), arguments, 0, stream);
}

class Warp final : public IPluginV3, public IPluginV3OneCore, public IPluginV3OneBuild, public IPluginV3OneRuntime {
 public:
  explicit Warp(int padding)
      : padding_(padding),
        field_("padding", kPaddings[padding], PluginFieldType::kCHAR, int(std::strlen(kPaddings[padding]))),
        fields_{1, &field_} {}

  IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept override {
    if (type == PluginCapabilityType::kBUILD) return static_cast<IPluginV3OneBuild*>(this);
    if (type == PluginCapabilityType::kRUNTIME) return static_cast<IPluginV3OneRuntime*>(this);
    return static_cast<IPluginV3OneCore*>(this);
  }
  IPluginV3* clone() noexcept override { return new (std::nothrow) Warp(padding_); }
  IPluginV3* attachToContext(IPluginResourceContext*) noexcept override { return clone(); }

  const char* getPluginName() const noexcept override { return kName; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

  std::int32_t getNbOutputs() const noexcept override { return 1; }
  std::int32_t configurePlugin(const DynamicPluginTensorDesc*, std::int32_t inputs, const DynamicPluginTensorDesc*,
                               std::int32_t outputs) noexcept override {
    return inputs == 2 && outputs == 1 ? 0 : 1;
  }
  std::int32_t getOutputDataTypes(DataType* outputs, std::int32_t, const DataType* inputs,
                                  std::int32_t) const noexcept override {
    outputs[0] = inputs[0];
    return 0;
  }
  // The output has the channels of the image and the grid of the displacement.
  std::int32_t getOutputShapes(const DimsExprs* inputs, std::int32_t count, const DimsExprs*, std::int32_t,
                               DimsExprs* outputs, std::int32_t, IExprBuilder&) noexcept override {
    if (count != 2 || inputs[0].nbDims != inputs[1].nbDims || inputs[0].nbDims < 4 || inputs[0].nbDims > 5) return 1;
    outputs[0] = inputs[1];
    outputs[0].d[1] = inputs[0].d[1];
    return 0;
  }
  // Linear float32 only: networks are strongly typed, and model files keep warps in float32.
  bool supportsFormatCombination(std::int32_t position, const DynamicPluginTensorDesc* tensors, std::int32_t,
                                 std::int32_t) noexcept override {
    const PluginTensorDesc& tensor = tensors[position].desc;
    return tensor.type == DataType::kFLOAT && tensor.format == TensorFormat::kLINEAR;
  }

  std::int32_t onShapeChange(const PluginTensorDesc* inputs, std::int32_t, const PluginTensorDesc* outputs,
                             std::int32_t) noexcept override {
    try {
      return batch_warp_shape(shape_of(inputs[0]), shape_of(inputs[1])) == shape_of(outputs[0]) ? 0 : 1;
    } catch (const std::exception&) {  // the shapes do not match
      return 1;
    }
  }
  // A single launch without workspace: the kernel of 2-D fields needs no third component.
  std::int32_t enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out, const void* const* inputs,
                       void* const* outputs, void*, cudaStream_t stream) noexcept override {
    for (int axis = 0; axis < out[0].dims.nbDims; ++axis)
      if (out[0].dims.d[axis] == 0) return 0;
    const Dims &image = in[0].dims, &u = in[1].dims;
    return launch(image, u, inputs[0], inputs[1], padding_, outputs[0], stream) == cudaSuccess ? 0 : 1;
  }
  const PluginFieldCollection* getFieldsToSerialize() noexcept override { return &fields_; }

 private:
  int padding_;  // index into kPaddings
  PluginField field_;
  PluginFieldCollection fields_;
};

class Creator final : public IPluginCreatorV3One {
 public:
  const char* getPluginName() const noexcept override { return kName; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }
  const PluginFieldCollection* getFieldNames() noexcept override { return &fields_; }

  // Returns nullptr for an unknown padding.
  IPluginV3* createPlugin(const char*, const PluginFieldCollection* fields, TensorRTPhase) noexcept override {
    for (int k = 0; k < fields->nbFields; ++k) {
      const PluginField& field = fields->fields[k];
      if (std::string_view(field.name) != "padding") continue;
      std::string_view text(static_cast<const char*>(field.data), std::size_t(field.length));
      while (!text.empty() && text.back() == '\0') text.remove_suffix(1);  // strings of model files are zero-terminated
      for (int padding = 0; padding < 2; ++padding)
        if (text == kPaddings[padding]) return new (std::nothrow) Warp(padding);
    }
    return nullptr;
  }

 private:
  PluginField field_{"padding", nullptr, PluginFieldType::kCHAR, 1};
  PluginFieldCollection fields_{1, &field_};
};

}  // namespace
}  // namespace mmreg::tensorrt

#define MMREG_EXPORT extern "C" __attribute__((visibility("default")))

// Entry points of IPluginRegistry::loadLibrary.
MMREG_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(std::int32_t& count) {
  static mmreg::tensorrt::Creator creator;
  static nvinfer1::IPluginCreatorInterface* const creators[] = {&creator};
  count = 1;
  return creators;
}

MMREG_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder*) {}  // errors are reported by return values
