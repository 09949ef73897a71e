// What mmreg_session points to: a fixed image, a queue of its own, and the last result.
#pragma once
#include <atomic>
#include <optional>

#include "capi/context.h"
#include "capi/deployment/deployment.h"
#include "capi/host_image.h"
#include "ops/open.h"
#include "pipeline/session.h"

struct mmreg_session {
  mmreg_session(mmreg_context&, const mmreg_session_options&);
  ~mmreg_session();

  void set_fixed(const mmreg_image&);
  mmreg_status run(const mmreg_image&, const mmreg_call_options&, const mmreg_outputs&, mmreg_result*);
  void warm_up(const mmreg_image&, const mmreg_call_options&, int runs, double* slowest_ms);
  void map_points(const double* points_mm, std::size_t count, double* mapped_mm) const;
  void warp_labels(const mmreg_image&, std::int32_t* warped, std::size_t bytes) const;
  double running_ms() const;  // of the current call; 0: idle

  mmreg_context& context;
  const mmreg_session_options options;
  std::atomic<bool> in_use{false}, cancelled{false}, dead{false};
  std::atomic<std::uint64_t> heartbeat{0};
  std::atomic<double> began_s{0};  // 0: idle

 private:
  mmreg::PipelineOptions pipeline_options(const mmreg_call_options&, const mmreg_outputs&, double began_s);
  mmreg::PipelineResult answer(const mmreg_call_options&, const mmreg::PipelineOptions&);
  void check_call(const mmreg_image&, const mmreg_call_options&, const mmreg_outputs&) const;
  void check_room(mmreg::Extent fixed, mmreg::Extent moving) const;
  void check_moving_grid();
  void check_network_options() const;
  bool is_rigid() const;  // of the networks
  bool refines() const;
  mmreg::AffineMap start_of_networks() const;
  const mmreg::PipelineResult& last() const;

  const mmreg::Place place_;
  const mmreg::Context ops_;
  mmreg::capi::HostImage fixed_, moving_;
  std::unique_ptr<mmreg::capi::EngineThread> engine_thread_;  // null without a deployment
  std::optional<mmreg::Engine> engine_;                       // on the grid of the fixed image
  std::optional<mmreg::Session> session_;
  std::optional<mmreg::PipelineResult> last_;
  mmreg::Extent moving_extent_{};   // of the moving image of the last result,
  mmreg::AffineMap moving_affine_;  // whose grid is known to overlap the fixed one
  std::uint64_t sequence_ = 0;
};
