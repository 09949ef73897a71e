// The functions of mmreg.h that take a session.
#include <chrono>
#include <cmath>
#include <memory>
#include <thread>

#include "capi/session.h"

namespace capi = mmreg::capi;

namespace {

// Marks a session as in use. A second caller is refused.
class Use {
 public:
  explicit Use(mmreg_session& session) : session_(session) {
    if (session.in_use.exchange(true))
      capi::refuse("MMREG_E_BUSY", "Another call uses the session. Wait for it, or cancel it.");
    if (!session.dead) return;
    session.in_use = false;
    capi::refuse("MMREG_E_HUNG",
                 "The session is dead: its engine did not return. Destroy it, and create another one or "
                 "restart the program.");
  }
  ~Use() {
    session_.began_s = 0;
    session_.in_use = false;
  }
  Use(const Use&) = delete;

 private:
  mmreg_session& session_;
};

// The same for a registration, which uses up a cancellation.
class Registration : Use {
 public:
  explicit Registration(mmreg_session& session) : Use(session), session_(session) {}
  ~Registration() { session_.cancelled = false; }

 private:
  mmreg_session& session_;
};

mmreg_session& checked(mmreg_session* session) {
  capi::check_not_null(session, "session");
  return *session;
}

}  // namespace

mmreg_status mmreg_session_create(mmreg_context* context, const mmreg_session_options* options,
                                  mmreg_session** session) {
  return capi::guard([&]() -> mmreg_status {
    capi::check_not_null(session, "session");
    *session = nullptr;
    capi::check_not_null(context, "context");
    const mmreg_session_options given = options ? capi::copied(options, "options") : mmreg_session_options{};
    *session = new mmreg_session(*context, given);
    return MMREG_OK;
  });
}

mmreg_status mmreg_session_set_fixed(mmreg_session* session, const mmreg_image* fixed) {
  return capi::guard([&]() -> mmreg_status {
    const Use use(checked(session));
    session->set_fixed(capi::copied(fixed, "fixed"));
    return MMREG_OK;
  });
}

mmreg_status mmreg_session_register(mmreg_session* session, const mmreg_image* moving,
                                    const mmreg_call_options* options, const mmreg_outputs* outputs,
                                    mmreg_result* result) {
  return capi::guard([&]() -> mmreg_status {
    const Registration use(checked(session));
    const mmreg_image image = capi::copied(moving, "moving");
    if (result) capi::check_struct_size(result->struct_size, "result");
    return session->run(image, options ? capi::copied(options, "options") : mmreg_call_options{},
                        outputs ? capi::copied(outputs, "outputs") : mmreg_outputs{}, result);
  });
}

mmreg_status mmreg_session_warm_up(mmreg_session* session, const mmreg_image* moving, const mmreg_call_options* options,
                                   int32_t runs, double* slowest_ms) {
  return capi::guard([&]() -> mmreg_status {
    const Registration use(checked(session));
    session->warm_up(capi::copied(moving, "moving"), options ? capi::copied(options, "options") : mmreg_call_options{},
                     runs, slowest_ms);
    return MMREG_OK;
  });
}

mmreg_status mmreg_session_map_points(mmreg_session* session, const double* points_mm, size_t count,
                                      double* mapped_mm) {
  return capi::guard([&]() -> mmreg_status {
    const Use use(checked(session));
    session->map_points(points_mm, count, mapped_mm);
    return MMREG_OK;
  });
}

mmreg_status mmreg_session_warp_labels(mmreg_session* session, const mmreg_image* labels, int32_t* warped,
                                       size_t warped_bytes) {
  return capi::guard([&]() -> mmreg_status {
    const Use use(checked(session));
    session->warp_labels(capi::copied(labels, "labels"), warped, warped_bytes);
    return MMREG_OK;
  });
}

void mmreg_session_cancel(mmreg_session* session) {
  if (session) session->cancelled.store(true);
}

mmreg_status mmreg_session_health(const mmreg_session* session, mmreg_health* health) {
  return capi::guard([&]() -> mmreg_status {
    capi::check_not_null(session, "session");
    capi::check_not_null(health, "health");
    capi::check_struct_size(health->struct_size, "health");
    mmreg_health out{};
    out.running_ms = session->running_ms();
    out.state = session->began_s > 0 ? MMREG_RUNNING : MMREG_IDLE;
    out.heartbeat = session->heartbeat;
    if (session->dead) out.state = MMREG_DEAD;
    capi::fill(health, out);
    return MMREG_OK;
  });
}

mmreg_status mmreg_session_destroy(mmreg_session** session) {
  return capi::guard([&]() -> mmreg_status {
    if (!session || !*session) return MMREG_OK;
    mmreg_session_cancel(*session);
    while ((*session)->in_use.exchange(true)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    delete *session;
    *session = nullptr;
    return MMREG_OK;
  });
}
