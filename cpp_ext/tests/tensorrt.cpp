// TensorRT behind the C library, with a stand-in for its header, its library and the CUDA driver: no GPU runs here.
#include <chrono>
#include <thread>

#include "tests/network_host.h"

namespace mmreg::test {
namespace {

constexpr StandInLibrary kTensorRt = {MMREG_STAND_IN_OF_TENSORRT, "libnvinfer.so.10", DeploymentFolder::tensorrt};

StandIn& stand_in() {
  static StandIn& found = kTensorRt.state();
  return found;
}

// Checks that an engine file cannot be loaded, and returns the reason.
std::string refused_plan(const std::string& plan) {
  DeploymentFolder folder(0.5f, DeploymentFolder::tensorrt);
  folder.replace("network.plan", plan);
  std::string text;
  CHECK(refused(folder, kTensorRt.folder, &text) == "MMREG_E_ENGINE_LOAD");
  return text;
}

}  // namespace

TEST(tensorrt_stand_in, the_field_of_the_network_arrives_in_mm) {
  NetworkHost host(without_alignment(), kTensorRt);
  std::vector<float> field;
  for (int k = 0; k < 3; ++k) {
    CHECK(host.run(0, &field) == MMREG_OK);
    CHECK(host.result.finished == MMREG_STAGE_NETWORK);
    CHECK(host.error_mm(field) < 1e-5);  // float32 fields of about 1 mm
  }
  CHECK(mmreg::Deployment(mmreg::Context([] {
                            mmreg_context_options options = sized<mmreg_context_options>();
                            options.engine_path = kTensorRt.folder;
                            return options;
                          }()),
                          host.folder.path.string())
            .describe()
            .find("engine_library_version = 10.1.2\n") != std::string::npos);
}

TEST(tensorrt_stand_in, all_of_the_device_is_given_back) {
  const int blocks = stand_in().blocks, streams = stand_in().streams, contexts = stand_in().requests;
  {
    NetworkHost host(without_alignment(), kTensorRt);
    CHECK(host.run() == MMREG_OK);
    CHECK(stand_in().blocks == blocks + 3);
    CHECK(stand_in().streams == streams + 1);
    CHECK(stand_in().requests == contexts + 1);
  }
  CHECK(stand_in().blocks == blocks);
  CHECK(stand_in().streams == streams);
  CHECK(stand_in().requests == contexts);
}

TEST(tensorrt_stand_in, what_does_not_fit_here_is_refused_with_its_code) {
  stand_in().behaviour = StandIn::ordinary;
  CHECK(refused(DeploymentFolder(0.51f, DeploymentFolder::tensorrt), kTensorRt.folder) == "MMREG_E_DEPLOYMENT_GOLDEN");
  CHECK(refused_plan("no plan").find("this is no engine file") != std::string::npos);
  CHECK(refused_plan("plan of 3 channels").find("'output'") != std::string::npos);
  DeploymentFolder folder(0.5f, DeploymentFolder::tensorrt);
  CHECK(refused(folder) == "MMREG_E_ENGINE_LIBRARY");  // the folder of another engine
  folder.manifest["engine_version"] = "10.1.3";
  folder.save();
  CHECK(refused(folder, kTensorRt.folder) == "MMREG_E_DEPLOYMENT_ENGINE_VERSION");
}

TEST(tensorrt_stand_in, failures_are_reported_and_the_session_goes_on) {
  NetworkHost host(with_hang_limit(2000), kTensorRt);
  stand_in().behaviour = StandIn::failing;
  CHECK(host.run() == MMREG_REGISTRATION_ERROR);
  CHECK(code() == "MMREG_E_ENGINE_RUN");
  CHECK(std::string(mmreg_last_error()).find("the stand-in fails on request here") != std::string::npos);
  const int streams = stand_in().streams, contexts = stand_in().requests;
  mmreg_session* other = nullptr;
  mmreg_session_options options = without_alignment();
  options.deployment = host.deployment;
  CHECK(mmreg_session_create(host.context, &options, &other) == MMREG_DEVICE_ERROR);
  CHECK(code() == "MMREG_E_DEVICE_MEMORY");
  CHECK(stand_in().streams == streams);
  CHECK(stand_in().requests == contexts);
  stand_in().behaviour = StandIn::not_finite;
  CHECK(host.run() == MMREG_REGISTRATION_ERROR);
  CHECK(code() == "MMREG_E_MODEL_OUTPUT");
  stand_in().behaviour = StandIn::ordinary;
  CHECK(host.run() == MMREG_OK);
}

TEST(tensorrt_stand_in, a_run_that_is_late_degrades_the_answer_when_the_device_is_done) {
  NetworkHost host(with_hang_limit(20000), kTensorRt);
  stand_in().behaviour = StandIn::slow;
  std::thread device([] {  // cannot be stopped
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    stand_in().behaviour = StandIn::ordinary;
  });
  CHECK(host.run(60) == MMREG_DEGRADED);
  device.join();
  CHECK(host.run() == MMREG_OK);
  CHECK(host.result.finished == MMREG_STAGE_NETWORK);
}

TEST(tensorrt_stand_in, a_device_that_does_not_finish_is_reported_as_hung) {
  NetworkHost host(with_hang_limit(100), kTensorRt);
  stand_in().behaviour = StandIn::deaf;
  CHECK(host.run() == MMREG_HUNG_ERROR);
  CHECK(host.state() == MMREG_DEAD);
  CHECK(host.run() == MMREG_HUNG_ERROR);
  const int contexts = stand_in().requests;
  CHECK(mmreg_session_destroy(&host.session) == MMREG_OK);
  CHECK(stand_in().requests == contexts);  // memory that the device may use is never freed
  stand_in().behaviour = StandIn::ordinary;
}

}  // namespace mmreg::test
