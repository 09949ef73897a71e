// Hosts of a network behind the C library, run by a stand-in engine.
#pragma once
#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "mmreg.hpp"
#include "tests/check.h"
#include "tests/deployment_folder.h"
#include "tests/host.h"
#include "tests/stand_in/stand_in.h"

namespace mmreg::test {

// A stand-in for the library of an engine: where it is, and the deployment that it runs.
struct StandInLibrary {
  const char *folder, *file;
  DeploymentFolder::Kind kind;

  StandIn& state() const {
    void* const library = dlopen((std::string(folder) + "/" + file).c_str(), RTLD_NOW | RTLD_LOCAL);
    return *reinterpret_cast<StandIn* (*)()>(dlsym(library, "mmreg_stand_in"))();
  }
};
constexpr StandInLibrary kOpenVino = {MMREG_STAND_IN, "libopenvino_c.so.1.2.3", DeploymentFolder::openvino};

inline std::atomic<int> logged{0};  // errors

inline mmreg_context* context_of(const char* engine_path = MMREG_STAND_IN) {
  mmreg_context_options options = sized<mmreg_context_options>();
  options.threads = 2;
  options.engine_path = engine_path;
  options.log = [](void*, std::int32_t level, const char*, const char*) { logged += level == MMREG_LOG_ERROR; };
  mmreg_context* context = nullptr;
  CHECK(mmreg_context_create(&options, &context) == MMREG_OK);
  return context;
}

// Returns the code with which the folder is refused, and its text.
inline std::string refused(const DeploymentFolder& folder, const char* engine_path = MMREG_STAND_IN,
                           std::string* text = nullptr) {
  mmreg_context* context = context_of(engine_path);
  mmreg_deployment* deployment = nullptr;
  CHECK(mmreg_deployment_load(context, folder.path.c_str(), nullptr, &deployment) < 0);
  CHECK(deployment == nullptr);
  const std::string found = code();
  if (text) *text = mmreg_last_error();
  CHECK(mmreg_context_destroy(&context) == MMREG_OK);
  return found;
}

inline mmreg_session_options without_alignment() {
  mmreg_session_options options = sized<mmreg_session_options>();
  options.align = MMREG_ALIGN_NONE;
  return options;
}

inline mmreg_session_options with_hang_limit(double ms) {
  mmreg_session_options options = without_alignment();
  options.hang_limit_ms = ms;
  return options;
}

// A session with the network of a stand-in, which maps intensities from 0 ... 2 to 0 ... 1.
struct NetworkHost {
  explicit NetworkHost(mmreg_session_options options = without_alignment(), const StandInLibrary& library = kOpenVino)
      : folder(0.5f, library.kind), fixed(bumps(1, 0)), moving(bumps(1, 2)), context(context_of(library.folder)) {
    library.state().behaviour = StandIn::ordinary;
    folder.manifest["intensity"] = "window";
    folder.manifest["intensity_low"] = "0";
    folder.manifest["intensity_high"] = "2";
    folder.save();
    CHECK(mmreg_deployment_load(context, folder.path.c_str(), nullptr, &deployment) == MMREG_OK);
    options.deployment = deployment;
    CHECK(mmreg_session_create(context, &options, &session) == MMREG_OK);
    const mmreg_image given = image(fixed);
    CHECK(mmreg_session_set_fixed(session, &given) == MMREG_OK);
  }
  ~NetworkHost() {
    CHECK(mmreg_session_destroy(&session) == MMREG_OK);
    CHECK(mmreg_deployment_destroy(&deployment) == MMREG_OK);
    CHECK(mmreg_context_destroy(&context) == MMREG_OK);
  }
  mmreg_status run(double deadline_ms = 0, std::vector<float>* field = nullptr) {
    mmreg_call_options options = sized<mmreg_call_options>();
    options.deadline_ms = deadline_ms;
    mmreg_outputs outputs = sized<mmreg_outputs>();
    if (field) {
      field->resize(3 * kSide * kSide);
      outputs.displacement_mm = field->data();
      outputs.displacement_bytes = field->size() * sizeof(float);
    }
    const mmreg_image given = image(moving);
    result = sized<mmreg_result>();
    return mmreg_session_register(session, &given, &options, &outputs, &result);
  }
  std::int32_t state() const {
    mmreg_health health = sized<mmreg_health>();
    CHECK(mmreg_session_health(session, &health) == MMREG_OK);
    return health.state;
  }
  // Returns the largest difference of a field from that of the network, mm.
  double error_mm(const std::vector<float>& field) const {
    double worst = 0;
    const std::size_t n = kSide * kSide;
    for (std::size_t i = 0; i < n; ++i) {
      worst = std::max(worst, std::abs(double(field[i])));
      worst = std::max(worst, std::abs(field[n + i] - 1.5 * along_h(fixed[i] / 2)));
      worst = std::max(worst, std::abs(field[2 * n + i] - 1.5 * along_w(moving[i] / 2)));
    }
    return worst;
  }

  DeploymentFolder folder;
  std::vector<float> fixed, moving;
  mmreg_context* context;
  mmreg_deployment* deployment = nullptr;
  mmreg_session* session = nullptr;
  mmreg_result result{};
};

}  // namespace mmreg::test
