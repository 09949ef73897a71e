// In place of tensorrt.cpp where libmmreg is built without the headers of TensorRT.
#include "capi/engines/network.h"
#include "capi/guard.h"

namespace mmreg::capi {

std::shared_ptr<const Network> load_tensorrt(const Manifest&, int, const Files&, const EngineHost&) {
  refuse(
      "MMREG_E_ENGINE_NOT_BUILT",
      "The deployment is for TensorRT, and this libmmreg was built without it. Build it with MMREG_TENSORRT_INCLUDE, "
      "the folder of NvInferRuntime.h, or deploy the bundle for openvino or onnxruntime.");
}

}  // namespace mmreg::capi
