// Networks behind the C library, run by a stand-in engine: fields, refusals, deadlines, cancellations and hangs.
#include <atomic>
#include <chrono>
#include <limits>
#include <string>
#include <thread>

#include "capi/deployment/cpu_features.h"
#include "tests/network_host.h"

namespace mmreg::test {
namespace {

using Clock = std::chrono::steady_clock;

StandIn& stand_in() {
  static StandIn& found = kOpenVino.state();
  return found;
}

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

}  // namespace

TEST(engines, the_field_of_the_network_arrives_in_mm) {
  NetworkHost host;
  std::vector<float> field;
  CHECK(host.run(0, &field) == MMREG_OK);
  CHECK(host.result.finished == MMREG_STAGE_NETWORK && host.result.has_deformation == 1);
  CHECK(host.error_mm(field) < 1e-5);  // float32 fields of about 1 mm
  CHECK(stand_in().threads == 2);
}

TEST(engines, the_solver_continues_if_the_session_or_the_deployment_says_so) {
  mmreg_session_options options = without_alignment();
  options.refine = MMREG_REFINE_ON;
  NetworkHost host(options);
  CHECK(host.run() == MMREG_OK);
  CHECK(host.result.finished == MMREG_STAGE_DEFORM);
}

TEST(engines, a_deployment_tests_and_describes_itself) {
  NetworkHost host;
  double worst_mm = -1, slowest_ms = -1;
  CHECK(mmreg_deployment_self_test(host.deployment, &worst_mm, &slowest_ms) == MMREG_OK);
  CHECK(worst_mm == 0);
  CHECK(slowest_ms >= 0);
  std::size_t bytes = 0;
  CHECK(mmreg_deployment_describe(host.deployment, nullptr, &bytes) == MMREG_OK);
  std::string text(bytes, 'x');
  std::size_t less = bytes - 1;
  CHECK(mmreg_deployment_describe(host.deployment, text.data(), &less) == MMREG_INPUT_ERROR);
  CHECK(less == bytes);
  CHECK(mmreg_deployment_describe(host.deployment, text.data(), &bytes) == MMREG_OK);
  CHECK(text.find("engine_library_version = 1.2.3\n") != std::string::npos);
  CHECK(text.back() == '\0');
}

TEST(engines, the_cpp_interface_loads_and_runs_a_deployment) {
  stand_in().behaviour = StandIn::ordinary;
  const DeploymentFolder folder;
  mmreg_context_options options = sized<mmreg_context_options>();
  options.engine_path = MMREG_STAND_IN;
  const mmreg::Context context(options);
  const mmreg::Deployment deployment(context, folder.path.string());
  CHECK(deployment.self_test().first == 0);
  CHECK(deployment.describe().find("name = stand-in\n") != std::string::npos);
  mmreg_session_options how = without_alignment();
  how.deployment = deployment.get();
  mmreg::Session session(context, how);
  const std::vector<float> fixed = bumps(1, 0), moving = bumps(1, 2);
  const mmreg::Matrix affine = {1.5, 0, 0, 0, 0, 1.5, 0, 0, 0, 0, 1.5, 0, 0, 0, 0, 1};
  session.set_fixed(mmreg::Image(fixed.data(), {1, kSide, kSide}, affine));
  CHECK(session.register_image(mmreg::Image(moving.data(), {1, kSide, kSide}, affine)).finished == MMREG_STAGE_NETWORK);
  DOCTEST_CHECK_THROWS_AS(mmreg::Deployment(context, folder.path.string(), mmreg::Deployment::Key{}),
                          mmreg::Error);  // it is not signed
}

TEST(engines, what_does_not_fit_here_is_refused_with_its_code) {
  stand_in().behaviour = StandIn::ordinary;
  CHECK(refused(DeploymentFolder(0.51f)) == "MMREG_E_DEPLOYMENT_GOLDEN");
  CHECK(refused(DeploymentFolder(std::numeric_limits<float>::quiet_NaN())) == "MMREG_E_DEPLOYMENT_GOLDEN");
  DeploymentFolder folder;
  CHECK(refused(folder, "/no/such/folder") == "MMREG_E_ENGINE_LIBRARY");
  CHECK(refused(folder, folder.path.c_str()) == "MMREG_E_ENGINE_LIBRARY");
  folder.manifest["engine_version"] = "1.2.4";
  folder.save();
  CHECK(refused(folder) == "MMREG_E_DEPLOYMENT_ENGINE_VERSION");
  folder.manifest["engine_version"] = "1.2.3";
  folder.manifest["cpu"] = capi::this_cpu() + "+another";
  folder.save();
  CHECK(refused(folder) == "MMREG_E_DEPLOYMENT_CPU");
  folder.manifest["cpu"] = "any";
  folder.manifest["precision"] = "bf16";  // the stand-in compiles in f32
  folder.save();
  CHECK(refused(folder) == "MMREG_E_ENGINE_LOAD");
}

TEST(engines, images_must_have_the_grid_of_the_deployment) {
  NetworkHost host;
  const auto fixed_code = [&](const mmreg_image& fixed) {
    CHECK(mmreg_session_set_fixed(host.session, &fixed) == MMREG_GEOMETRY_ERROR);
    return code();
  };
  mmreg_image fixed = image(host.fixed);
  fixed.shape[1] = kSide / 2;
  CHECK(fixed_code(fixed) == "MMREG_E_DEPLOYMENT_GRID");
  fixed = image(host.fixed);
  fixed.affine[5] = 1.5 * 1.002;
  CHECK(fixed_code(fixed) == "MMREG_E_DEPLOYMENT_GRID");
  fixed.affine[5] = -1.5;  // mirrored
  CHECK(fixed_code(fixed) == "MMREG_E_DEPLOYMENT_GRID");
  fixed.affine[5] = 1.5 * 1.0005;
  fixed.affine[7] = 4;  // the place is free
  CHECK(mmreg_session_set_fixed(host.session, &fixed) == MMREG_OK);
  const std::vector<float> wide(65 * 40, 1.f);
  mmreg_image moving = image(wide);
  moving.shape[2] = 65;
  CHECK(mmreg_session_register(host.session, &moving, nullptr, nullptr, nullptr) == MMREG_GEOMETRY_ERROR);
  CHECK(code() == "MMREG_E_DEPLOYMENT_GRID");
}

TEST(engines, options_that_contradict_are_refused) {
  NetworkHost host;
  const auto session_code = [&](mmreg_session_options options, mmreg_context* context) {
    mmreg_session* session = nullptr;
    CHECK(mmreg_session_create(context, &options, &session) == MMREG_INPUT_ERROR);
    CHECK(session == nullptr);
    return code();
  };
  mmreg_session_options options = without_alignment();
  options.refine = MMREG_REFINE_ON;
  CHECK(session_code(options, host.context) == "MMREG_E_ARGUMENT");  // nothing to refine
  options.deployment = host.deployment;
  options.without_deformation = 1;
  CHECK(session_code(options, host.context) == "MMREG_E_ARGUMENT");
  options.without_deformation = 0;
  options.hang_limit_ms = -1;
  CHECK(session_code(options, host.context) == "MMREG_E_ARGUMENT");
  options.hang_limit_ms = 0;
  mmreg_context* other = context_of();
  CHECK(session_code(options, other) == "MMREG_E_ARGUMENT");
  CHECK(mmreg_context_destroy(&other) == MMREG_OK);
}

TEST(engines, the_memory_of_the_network_counts_and_is_judged_before_the_work) {
  stand_in().behaviour = StandIn::ordinary;
  DeploymentFolder folder;
  folder.manifest["memory_mb"] = "50";
  folder.save();
  const int runs = stand_in().runs;
  const auto loaded = [&](std::uint64_t limit, mmreg_context*& context, mmreg_deployment*& deployment) {
    mmreg_context_options options = sized<mmreg_context_options>();
    options.engine_path = MMREG_STAND_IN;
    options.memory_limit_bytes = limit;
    CHECK(mmreg_context_create(&options, &context) == MMREG_OK);
    return mmreg_deployment_load(context, folder.path.c_str(), nullptr, &deployment);
  };
  mmreg_context* context = nullptr;
  mmreg_deployment* deployment = nullptr;
  CHECK(loaded((50 << 20) - 1, context, deployment) == MMREG_OUT_OF_MEMORY_ERROR);
  CHECK(code() == "MMREG_E_MEMORY" && deployment == nullptr && stand_in().runs == runs);
  CHECK(mmreg_context_destroy(&context) == MMREG_OK);

  CHECK(loaded((50 << 20) + (1 << 18), context, deployment) == MMREG_OK);  // 0.25 MB for the images
  mmreg_session_options options = without_alignment();
  options.deployment = deployment;
  mmreg_session* session = nullptr;
  CHECK(mmreg_session_create(context, &options, &session) == MMREG_OK);
  const std::vector<float> fixed = bumps(1, 0);
  const mmreg_image given = image(fixed);  // 1,600 voxels, which take 184 bytes each
  CHECK(mmreg_session_set_fixed(session, &given) == MMREG_OUT_OF_MEMORY_ERROR);
  CHECK(std::string(mmreg_last_error()).find("50 MB of them for the network") != std::string::npos);
  mmreg_session_options more = options;
  std::fill_n(more.largest_fixed, 3, 100);
  mmreg_session* other = nullptr;
  CHECK(mmreg_session_create(context, &more, &other) == MMREG_OUT_OF_MEMORY_ERROR);
  CHECK(mmreg_session_destroy(&session) == MMREG_OK);
  CHECK(mmreg_deployment_destroy(&deployment) == MMREG_OK);
  CHECK(mmreg_context_destroy(&context) == MMREG_OK);

  CHECK(loaded(51 << 20, context, deployment) == MMREG_OK);
  options.deployment = deployment;
  CHECK(mmreg_session_create(context, &options, &session) == MMREG_OK);
  CHECK(mmreg_session_set_fixed(session, &given) == MMREG_OK);
  CHECK(mmreg_session_destroy(&session) == MMREG_OK);
  CHECK(mmreg_deployment_destroy(&deployment) == MMREG_OK);
  CHECK(mmreg_context_destroy(&context) == MMREG_OK);
}

TEST(engines, what_is_in_use_is_not_destroyed) {
  NetworkHost host;
  CHECK(mmreg_deployment_destroy(&host.deployment) == MMREG_BUSY_ERROR);
  CHECK(mmreg_session_destroy(&host.session) == MMREG_OK);
  CHECK(mmreg_context_destroy(&host.context) == MMREG_BUSY_ERROR);
  CHECK(host.deployment != nullptr && host.context != nullptr);
}

TEST(engines, a_run_that_is_too_slow_is_cancelled_at_the_deadline) {
  NetworkHost host;
  stand_in().behaviour = StandIn::slow;
  std::vector<float> field;
  CHECK(host.run(60, &field) == MMREG_DEGRADED);
  CHECK(host.result.finished != MMREG_STAGE_NETWORK && host.result.has_deformation == 0);
  for (const float value : field) CHECK(value == 0);
  stand_in().behaviour = StandIn::ordinary;
  CHECK(host.run() == MMREG_OK);
  CHECK(host.result.finished == MMREG_STAGE_NETWORK);
}

TEST(engines, the_heartbeat_grows_while_a_network_runs) {
  NetworkHost host;
  stand_in().behaviour = StandIn::slow;
  std::thread caller([&] { CHECK(host.run() == MMREG_CANCELLED_ERROR); });
  const int before = stand_in().runs;
  mmreg_health health = sized<mmreg_health>();
  std::uint64_t first = 0;
  for (int beats = 0; beats < 3;) {
    CHECK(mmreg_session_health(host.session, &health) == MMREG_OK);
    beats += health.heartbeat > first && stand_in().runs >= before && health.state == MMREG_RUNNING;
    first = health.heartbeat;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  mmreg_session_cancel(host.session);
  caller.join();
}

TEST(engines, a_cancel_stops_a_run) {
  NetworkHost host;
  for (int k = 0; k < 20; ++k) {
    stand_in().behaviour = StandIn::slow;
    const int before = stand_in().runs;
    std::thread canceller([&] {
      while (k % 2 && stand_in().runs == before) std::this_thread::yield();  // else before it begins
      mmreg_session_cancel(host.session);
    });
    CHECK(host.run() == MMREG_CANCELLED_ERROR);
    canceller.join();
  }
  stand_in().behaviour = StandIn::ordinary;
  CHECK(host.run() == MMREG_OK);
}

TEST(engines, failures_of_the_engine_are_reported_and_the_session_goes_on) {
  NetworkHost host(with_hang_limit(500));
  stand_in().behaviour = StandIn::failing;
  CHECK(host.run() == MMREG_REGISTRATION_ERROR);
  CHECK(code() == "MMREG_E_ENGINE_RUN");
  CHECK(std::string(mmreg_last_error()).find("the stand-in fails on request here") != std::string::npos);
  stand_in().behaviour = StandIn::not_finite;
  CHECK(host.run() == MMREG_REGISTRATION_ERROR);
  CHECK(code() == "MMREG_E_MODEL_OUTPUT");
  stand_in().behaviour = StandIn::slow;  // without a deadline: ten times its expected time, and the limit
  CHECK(host.run() == MMREG_REGISTRATION_ERROR);
  CHECK(code() == "MMREG_E_ENGINE_RUN");
  stand_in().behaviour = StandIn::ordinary;
  CHECK(host.run() == MMREG_OK);
}

TEST(engines, a_hang_is_reported_and_the_session_is_dead) {
  for (const bool is_cancelled : {true, false}) {
    constexpr double kLimit_ms = 100, kLate_ms = 10 * 2 + kLimit_ms;  // when a run is cancelled that nobody cancels
    NetworkHost host(with_hang_limit(kLimit_ms));
    mmreg_session* other = nullptr;
    mmreg_session_options options = without_alignment();
    options.deployment = host.deployment;
    CHECK(mmreg_session_create(host.context, &options, &other) == MMREG_OK);
    CHECK(host.state() == MMREG_IDLE);
    stand_in().behaviour = StandIn::deaf;
    logged = 0;
    const int runs = stand_in().runs;
    Clock::time_point start = Clock::now();
    std::thread canceller([&] {
      while (is_cancelled && stand_in().runs == runs) std::this_thread::yield();
      if (!is_cancelled) return;
      start = Clock::now();
      mmreg_session_cancel(host.session);
    });
    CHECK(host.run() == MMREG_HUNG_ERROR);
    const Clock::time_point end = Clock::now();
    canceller.join();
    const double took = std::chrono::duration<double, std::milli>(end - start).count();
    const double least = kLimit_ms + (is_cancelled ? 0 : kLate_ms);
    CHECK(code() == "MMREG_E_HUNG");
    CHECK(took >= least);
    DOCTEST_MESSAGE("reported " << took - least << " ms after the limit");
    CHECK(took < least + 2000);  // not for ever, on a machine however busy
    CHECK(logged == 1);
    CHECK(host.state() == MMREG_DEAD);
    CHECK(host.run() == MMREG_HUNG_ERROR);
    const mmreg_image fixed = image(host.fixed);
    CHECK(mmreg_session_set_fixed(host.session, &fixed) == MMREG_HUNG_ERROR);
    CHECK(code() == "MMREG_E_HUNG");
    const Clock::time_point before = Clock::now();
    CHECK(mmreg_session_destroy(&host.session) == MMREG_OK);
    CHECK(ms_since(before) < 2000);
    // Other sessions of the deployment go on.
    CHECK(mmreg_session_set_fixed(other, &fixed) == MMREG_OK);
    stand_in().behaviour = StandIn::ordinary;  // the thread that was left behind ends, and touches nothing
    const mmreg_image moving = image(host.moving);
    CHECK(mmreg_session_register(other, &moving, nullptr, nullptr, nullptr) == MMREG_OK);
    CHECK(mmreg_session_destroy(&other) == MMREG_OK);
    CHECK(stand_in().requests > 0);  // the request that hung is never freed
  }
}

}  // namespace mmreg::test
