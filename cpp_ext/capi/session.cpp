#include "capi/session.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "capi/engines/pipeline_engine.h"
#include "capi/grids.h"
#include "capi/outputs.h"
#include "cpu/queue.h"

namespace capi = mmreg::capi;
using mmreg::Extent;

namespace {

constexpr double kHangLimit_ms = 10000;

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Extent largest(const std::int64_t (&n)[3], const char* name) {
  if (!n[0] && !n[1] && !n[2]) return {0, 0, 0};
  mmreg_image image{};
  std::copy_n(n, 3, image.shape);
  return capi::extent_of(image, name);
}

void check_choice(int value, int most, const char* name) {
  if (value < 0 || value > most)
    capi::refuse("MMREG_E_ARGUMENT", "%s must be one of its constants, 0 to %d; found %d.", name, most, value);
}

bool equal(const mmreg::AffineMap& a, const mmreg::AffineMap& b) { return std::equal(a.m, a.m + 12, b.m); }
bool equal(Extent a, Extent b) { return a.d == b.d && a.h == b.h && a.w == b.w; }

void check_within(Extent n, const std::int64_t (&most)[3], const char* name) {
  const std::int64_t length[3] = {n.d, n.h, n.w};
  for (int a = 0; a < 3; ++a)
    if (most[a] && length[a] > most[a])
      capi::refuse("MMREG_E_SESSION_GRID",
                   "The %s image has %d x %d x %d voxels, and the session was created for at most "
                   "%lld x %lld x %lld.",
                   name, n.d, n.h, n.w, static_cast<long long>(most[0]), static_cast<long long>(most[1]),
                   static_cast<long long>(most[2]));
}

}  // namespace

mmreg_session::mmreg_session(mmreg_context& owner, const mmreg_session_options& given)
    : context(owner),
      options(given),
      place_(mmreg::open_place(owner.target, owner.threads)),
      ops_(place_.context()),
      fixed_(ops_),
      moving_(ops_) {
  check_choice(options.space, MMREG_LPS, "options->space");
  check_choice(options.align, MMREG_ALIGN_NONE, "options->align");
  check_choice(options.without_deformation, 1, "options->without_deformation");
  check_choice(options.unrelated_headers, 1, "options->unrelated_headers");
  check_network_options();
  check_room(largest(options.largest_fixed, "largest fixed"), largest(options.largest_moving, "largest moving"));
  auto& queue = static_cast<mmreg::CpuQueue&>(*place_.queue);
  queue.keep_memory();
  if (!context.shares_cores) queue.stay_awake();
  if (options.deployment) {
    const double limit_ms = options.hang_limit_ms > 0 ? options.hang_limit_ms : kHangLimit_ms;
    engine_thread_ = options.deployment->engine_thread(1e-3 * limit_ms);
    ++options.deployment->sessions;
  }
  ++context.sessions;
}

mmreg_session::~mmreg_session() {
  engine_thread_.reset();
  if (options.deployment) --options.deployment->sessions;
  --context.sessions;
}

void mmreg_session::check_network_options() const {
  check_choice(options.refine, MMREG_REFINE_OFF, "options->refine");
  if (!(options.hang_limit_ms >= 0 && std::isfinite(options.hang_limit_ms)))
    capi::refuse("MMREG_E_ARGUMENT", "options->hang_limit_ms must be 0 or a number above 0; found %g.",
                 options.hang_limit_ms);
  if (!options.deployment) {
    if (options.refine != MMREG_REFINE_DEFAULT)
      capi::refuse("MMREG_E_ARGUMENT", "options->refine needs a deployment: the solver alone refines nothing.");
    return;
  }
  if (&options.deployment->context != &context)
    capi::refuse("MMREG_E_ARGUMENT", "options->deployment must be of the context of the session.");
  const capi::Manifest& manifest = options.deployment->manifest();
  if (options.without_deformation && !manifest.is_rigid())
    capi::refuse("MMREG_E_ARGUMENT", "options->without_deformation must be 0 with a deployment that deforms.");
  const bool describes = manifest.output == mmreg::EngineOutput::descriptor;
  if (describes && options.refine == MMREG_REFINE_OFF)
    capi::refuse("MMREG_E_ARGUMENT", "options->refine cannot be off: the network gives features for the solver.");
}

bool mmreg_session::is_rigid() const { return options.deployment && options.deployment->manifest().is_rigid(); }

bool mmreg_session::refines() const {
  if (options.refine != MMREG_REFINE_DEFAULT) return options.refine == MMREG_REFINE_ON;
  return options.deployment->manifest().refine;
}

// The least memory that a registration takes, as in the Python package (process/memory.py), and that of the network.
void mmreg_session::check_room(Extent fixed, Extent moving) const {
  constexpr double kFixed = 180, kMoving = 30, kOfAlignment = 44;  // bytes per voxel
  const double images = sizeof(float) * (double(mmreg::voxels(fixed)) + double(mmreg::voxels(moving)));
  const bool deforms = !options.without_deformation && !is_rigid();
  const double network = options.deployment ? double(options.deployment->manifest().memory_mb) * (1 << 20) : 0;
  const double needed = images + (deforms ? kFixed : kOfAlignment) * double(mmreg::voxels(fixed)) +
                        kMoving * double(mmreg::voxels(moving)) + network;
  if (!context.memory_limit_bytes || needed <= double(context.memory_limit_bytes)) return;
  capi::refuse(
      "MMREG_E_MEMORY",
      "Images of %d x %d x %d and %d x %d x %d voxels need about %.0f MB, %.0f MB of them for the network, and "
      "memory_limit_bytes allows %.0f MB. Crop them, or resample them to a coarser grid.",
      fixed.d, fixed.h, fixed.w, moving.d, moving.h, moving.w, needed / (1 << 20), network / (1 << 20),
      double(context.memory_limit_bytes) / (1 << 20));
}

void mmreg_session::set_fixed(const mmreg_image& image) {
  const Extent n = capi::extent_of(image, "fixed");
  check_within(n, options.largest_fixed, "fixed");
  check_room(n, {0, 0, 0});
  session_.reset();
  engine_.reset();
  last_.reset();
  moving_extent_ = {};
  fixed_.read(image, options.space, "fixed");
  if (options.deployment) {
    const capi::Manifest& manifest = options.deployment->manifest();
    capi::check_fixed_grid(manifest, fixed_.scan().extent, fixed_.scan().affine);
    engine_ = capi::pipeline_engine(manifest, options.deployment->expected_s(), fixed_.scan().affine,
                                    capi::centre_mm(fixed_.scan()), *engine_thread_);
  }
  session_.emplace(ops_, fixed_.scan());
}

void mmreg_session::check_moving_grid() {
  const mmreg::Scan &fixed = fixed_.scan(), &moving = moving_.scan();
  if (equal(moving.extent, moving_extent_) && equal(moving.affine, moving_affine_)) return;
  capi::check_dimensions(fixed.extent, moving.extent);
  if (!options.unrelated_headers) capi::check_overlap(fixed.extent, fixed.affine, moving.extent, moving.affine);
  moving_extent_ = moving.extent;
  moving_affine_ = moving.affine;
}

// The headers, or aligned centres if they share no space or both images have a mask; as in the Python package
// (network/pair_engine.py).
mmreg::AffineMap mmreg_session::start_of_networks() const {
  const mmreg::Scan &fixed = fixed_.scan(), &moving = moving_.scan();
  mmreg::AffineMap start;
  if (options.unrelated_headers || (fixed.mask && moving.mask))
    mmreg::set_column(start, 3, capi::centre_mm(moving) - capi::centre_mm(fixed));
  return start;
}

mmreg::PipelineOptions mmreg_session::pipeline_options(const mmreg_call_options& call, const mmreg_outputs& outputs,
                                                       double began) {
  static const mmreg::AlignKind kinds[] = {mmreg::AlignKind::affine, mmreg::AlignKind::rigid, mmreg::AlignKind::none};
  static const mmreg::Figures figures[] = {mmreg::Figures::fast, mmreg::Figures::full, mmreg::Figures::none};
  mmreg::PipelineOptions out;
  out.align = kinds[options.align];
  out.deform = !options.without_deformation;
  if (engine_) {
    out.engine = &*engine_;
    out.refine = refines();
    if (is_rigid()) out.start = start_of_networks();
  }
  out.figures = figures[call.quality];
  out.inverse = outputs.inverse_mm != nullptr;
  if (call.has_outside) out.outside = call.outside;
  // A deadline that has passed already still gets an answer: the least that there is.
  if (call.deadline_ms > 0) out.deadline_s = std::max(1e-9, 1e-3 * call.deadline_ms - (now_s() - began));
  out.cancelled = [this](mmreg::Stage, double) {
    heartbeat.fetch_add(1, std::memory_order_relaxed);
    return cancelled.load(std::memory_order_relaxed);
  };
  out.interrupted = [this] { return cancelled.load(std::memory_order_relaxed); };
  return out;
}

// Registers the moving image; a session whose engine does not return is dead.
mmreg::PipelineResult mmreg_session::answer(const mmreg_call_options& call, const mmreg::PipelineOptions& pipeline) {
  try {
    if (call.start != MMREG_START_MATRIX)
      return session_->run(moving_.scan(), pipeline, call.start == MMREG_START_LAST);
    return session_->run_from(capi::checked_rigid(call.start_matrix, options.space), moving_.scan(), pipeline);
  } catch (...) {
    dead = engine_thread_ && engine_thread_->hung();
    if (dead) context.report(MMREG_LOG_ERROR, "MMREG_E_HUNG", "An engine did not return: its session is dead.");
    throw;
  }
}

// Checks all that can be checked before the voxels are read.
void mmreg_session::check_call(const mmreg_image& image, const mmreg_call_options& call,
                               const mmreg_outputs& outputs) const {
  if (!session_)
    capi::refuse("MMREG_E_NO_FIXED", "The session has no fixed image. Call mmreg_session_set_fixed first.");
  check_choice(call.start, MMREG_START_MATRIX, "options->start");
  check_choice(call.quality, MMREG_QUALITY_NONE, "options->quality");
  check_choice(call.has_outside, 1, "options->has_outside");
  check_choice(call.reserved, 0, "options->reserved");
  if (!(call.deadline_ms >= 0 && std::isfinite(call.deadline_ms)))
    capi::refuse("MMREG_E_DEADLINE", "options->deadline_ms must be 0 or a number above 0; found %g.", call.deadline_ms);
  if (call.has_outside && std::isinf(call.outside))
    capi::refuse("MMREG_E_OUTSIDE", "options->outside must be a number or NaN; found %g.", call.outside);
  const Extent n = fixed_.scan().extent, m = capi::extent_of(image, "moving");
  check_within(m, options.largest_moving, "moving");
  if (options.deployment) capi::check_moving_grid(options.deployment->manifest(), m);
  check_room(n, m);
  capi::check_sizes(outputs, n, m);
}

mmreg_status mmreg_session::run(const mmreg_image& image, const mmreg_call_options& call, const mmreg_outputs& outputs,
                                mmreg_result* result) {
  const double began = now_s();
  began_s = began;
  check_call(image, call, outputs);
  last_.reset();  // its memory serves this call
  moving_.read(image, options.space, "moving");
  check_moving_grid();
  last_ = answer(call, pipeline_options(call, outputs, began));
  if (last_->cancelled) {
    last_.reset();
    capi::refuse("MMREG_E_CANCELLED", "The registration was cancelled.");
  }
  const double finished = now_s();
  capi::write(*last_, outputs, options.space);
  session_->handed_out(now_s() - finished);
  ++sequence_;
  if (result) {
    mmreg_result filled = capi::summary(*last_, options.space);
    filled.timestamp_ns = image.timestamp_ns;
    filled.sequence = sequence_;
    filled.elapsed_ms = 1e3 * (now_s() - began);
    capi::fill(result, filled);
  }
  return last_->degraded ? MMREG_DEGRADED : MMREG_OK;
}

void mmreg_session::warm_up(const mmreg_image& image, const mmreg_call_options& call, int runs, double* slowest_ms) {
  if (runs < 1) capi::refuse("MMREG_E_ARGUMENT", "runs must be at least 1; found %d.", runs);
  double slowest = 0;
  mmreg_result result{};
  result.struct_size = sizeof result;
  if (call.deadline_ms > 0) {  // which may leave steps out, and their memory
    mmreg_call_options whole = call;
    whole.deadline_ms = 0;
    run(image, whole, mmreg_outputs{}, &result);
  }
  for (int k = 0; k < runs; ++k) {
    run(image, call, mmreg_outputs{}, &result);
    slowest = std::max(slowest, result.elapsed_ms);
  }
  if (slowest_ms) *slowest_ms = slowest;
  session_->forget();
  last_.reset();
  sequence_ = 0;
}

double mmreg_session::running_ms() const {
  const double began = began_s;
  return began > 0 ? 1e3 * (now_s() - began) : 0;
}

const mmreg::PipelineResult& mmreg_session::last() const {
  if (!last_)
    capi::refuse("MMREG_E_NO_RESULT", "The session has no result: its last registration failed, or there was none.");
  return *last_;
}

void mmreg_session::map_points(const double* points_mm, std::size_t count, double* mapped_mm) const {
  capi::map_points(last(), fixed_.scan(), options.space, points_mm, count, mapped_mm);
}

void mmreg_session::warp_labels(const mmreg_image& labels, std::int32_t* warped, std::size_t bytes) const {
  capi::warp_labels(ops_, last(), fixed_.scan(), labels, options.space, warped, bytes);
}
