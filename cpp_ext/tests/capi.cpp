// The C library: what its calls return for right and wrong arguments, from one thread and from several.
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "mmreg.h"
#include "tests/check.h"
#include "tests/host.h"

namespace mmreg::test {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

// A session on a slice, and what its calls return.
struct Fixture {
  explicit Fixture(mmreg_session_options options = sized<mmreg_session_options>(), int depth = 1, int shares_cores = 0)
      : fixed(bumps(depth, 0)), moving(bumps(depth, 2)), depth(depth) {
    mmreg_context_options host = sized<mmreg_context_options>();
    host.threads = 2;
    host.shares_cores = shares_cores;
    CHECK(mmreg_context_create(&host, &context) == MMREG_OK);
    CHECK(mmreg_session_create(context, &options, &session) == MMREG_OK);
    const mmreg_image given = image(fixed, depth);
    CHECK(mmreg_session_set_fixed(session, &given) == MMREG_OK);
  }
  ~Fixture() {
    CHECK(mmreg_session_destroy(&session) == MMREG_OK);
    CHECK(mmreg_context_destroy(&context) == MMREG_OK);
    CHECK(session == nullptr && context == nullptr);
  }
  mmreg_status run(const mmreg_call_options* options = nullptr, const mmreg_outputs* outputs = nullptr) {
    const mmreg_image given = image(moving, depth);
    result = sized<mmreg_result>();
    return mmreg_session_register(session, &given, options, outputs, &result);
  }

  std::vector<float> fixed, moving;
  int depth;
  mmreg_context* context = nullptr;
  mmreg_session* session = nullptr;
  mmreg_result result{};
};

}  // namespace

TEST(capi, a_shift_is_found_in_a_slice_and_in_a_volume) {
  for (const int depth : {1, 24}) {
    mmreg_session_options options = sized<mmreg_session_options>();
    options.align = MMREG_ALIGN_RIGID;
    options.without_deformation = 1;
    Fixture host(options, depth);
    CHECK(host.run() == MMREG_OK);
    CHECK_NEAR(host.result.matrix[11], 2 * 1.5, 0.3);  // a fifth of a voxel
    CHECK(host.result.sequence == 1);
    CHECK(host.result.finished == MMREG_STAGE_ALIGN);
    CHECK(host.run() == MMREG_OK);
    CHECK(host.result.tracked == 1 && host.result.sequence == 2);
  }
}

TEST(capi, how_threads_wait_changes_no_bit) {
  std::vector<float> fields[2];
  for (const int shares_cores : {0, 1}) {
    Fixture host(sized<mmreg_session_options>(), 1, shares_cores);
    fields[shares_cores].resize(3 * kSide * kSide);
    mmreg_outputs outputs = sized<mmreg_outputs>();
    outputs.displacement_mm = fields[shares_cores].data();
    outputs.displacement_bytes = fields[shares_cores].size() * sizeof(float);
    for (int call = 0; call < 3; ++call) CHECK(host.run(nullptr, &outputs) == MMREG_OK);
  }
  CHECK(fields[0] == fields[1]);
  mmreg_context_options options = sized<mmreg_context_options>();
  options.shares_cores = 2;
  mmreg_context* context = nullptr;
  CHECK(mmreg_context_create(&options, &context) == MMREG_INPUT_ERROR);
  CHECK(code() == "MMREG_E_ARGUMENT");
}

TEST(capi, a_matrix_is_a_start_and_must_be_rigid) {
  mmreg_session_options session = sized<mmreg_session_options>();
  session.without_deformation = 1;
  Fixture host(session);
  mmreg_call_options options = sized<mmreg_call_options>();
  options.start = MMREG_START_MATRIX;
  CHECK(host.run(&options) == MMREG_GEOMETRY_ERROR);  // zeros: the last row is not 0 0 0 1
  for (int k = 0; k < 4; ++k) options.start_matrix[5 * k] = 1;
  options.start_matrix[11] = 2;
  CHECK(host.run(&options) == MMREG_OK);
  CHECK(host.result.tracked == 1);
  CHECK_NEAR(host.result.matrix[11], 2 * 1.5, 0.3);
  options.start_matrix[0] = 1.2;
  CHECK(host.run(&options) == MMREG_TRANSFORM_ERROR);
  CHECK(code() == "MMREG_E_TRANSFORM_NOT_RIGID");
}

TEST(capi, lps_is_ras_with_two_signs_changed) {
  std::vector<float> fields[2];
  double matrices[2][16], points[2][3];
  for (const int space : {MMREG_RAS, MMREG_LPS}) {
    mmreg_session_options options = sized<mmreg_session_options>();
    options.space = space;
    Fixture host(options);
    const double sign = space == MMREG_LPS ? -1 : 1;
    mmreg_image fixed = image(host.fixed), moving = image(host.moving);
    for (mmreg_image* one : {&fixed, &moving})
      for (int k = 0; k < 8; ++k) one->affine[k] *= sign;
    CHECK(mmreg_session_set_fixed(host.session, &fixed) == MMREG_OK);
    fields[space].resize(3 * kSide * kSide);
    mmreg_outputs outputs = sized<mmreg_outputs>();
    outputs.displacement_mm = fields[space].data();
    outputs.displacement_bytes = fields[space].size() * sizeof(float);
    mmreg_result result = sized<mmreg_result>();
    CHECK(mmreg_session_register(host.session, &moving, nullptr, &outputs, &result) == MMREG_OK);
    std::memcpy(matrices[space], result.matrix, sizeof result.matrix);
    const double point[3] = {0, sign * 30, 27};
    CHECK(mmreg_session_map_points(host.session, point, 1, points[space]) == MMREG_OK);
  }
  const std::size_t n = kSide * kSide;
  bool same = true;
  for (std::size_t i = 0; i < 3 * n; ++i) same &= fields[0][i] == (i < 2 * n ? -1 : 1) * fields[1][i];
  CHECK(same);
  for (int i = 0; i < 3; ++i) CHECK(points[0][i] == (i < 2 ? -1 : 1) * points[1][i]);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j) CHECK(matrices[0][4 * i + j] == ((i < 2) != (j < 2) ? -1 : 1) * matrices[1][4 * i + j]);
}

TEST(capi, points_labels_and_fields_agree) {
  Fixture host;
  std::vector<float> field(3 * kSide * kSide), warped(kSide * kSide);
  mmreg_outputs outputs = sized<mmreg_outputs>();
  outputs.displacement_mm = field.data();
  outputs.displacement_bytes = field.size() * sizeof(float);
  outputs.warped = warped.data();
  outputs.warped_bytes = warped.size() * sizeof(float);
  CHECK(host.run(nullptr, &outputs) == MMREG_OK);
  const int y = 20, x = 17, n = kSide * kSide;
  const double point[3] = {0, 1.5 * y, 1.5 * x};
  double mapped[3];
  CHECK(mmreg_session_map_points(host.session, point, 1, mapped) == MMREG_OK);
  for (int c = 0; c < 3; ++c) CHECK_NEAR(mapped[c] - point[c], field[std::size_t(c * n + y * kSide + x)], 1e-4);
  CHECK_NEAR(mapped[2] - point[2], 3, 0.75);  // half a voxel

  std::vector<std::uint8_t> labels;
  for (const float value : host.moving) labels.push_back(value > 0.5f ? 200 : 0);
  mmreg_image given = image(host.moving);
  given.data = labels.data();
  given.dtype = MMREG_UINT8;
  std::vector<std::int32_t> out(std::size_t(n), -1);
  CHECK(mmreg_session_warp_labels(host.session, &given, out.data(), out.size() * 4) == MMREG_OK);
  int wrong = 0, marked = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    marked += out[i] == 200;
    wrong += (out[i] == 200) != (warped[i] > 0.5f);
  }
  CHECK(marked > 50);
  CHECK(wrong < marked / 10);  // nearest and linear interpolation differ along the outline
  given.dtype = MMREG_FLOAT32;
  CHECK(mmreg_session_warp_labels(host.session, &given, out.data(), out.size() * 4) == MMREG_INPUT_ERROR);
}

TEST(capi, integers_and_strides_give_what_floats_give) {
  Fixture host;
  std::vector<std::int16_t> padded(std::size_t(kSide * (kSide + 3) * 2), -7);
  std::vector<float> values;
  for (int i = 0; i < kSide * kSide; ++i) {
    const auto value = std::int16_t(std::lround(1000 * host.moving[std::size_t(i)]));
    padded[std::size_t(2 * (i / kSide * (kSide + 3) + i % kSide))] = value;
    values.push_back(value);
  }
  mmreg_image strided = image(host.moving), plain = image(values);
  strided.data = padded.data();
  strided.dtype = MMREG_INT16;
  strided.stride_bytes[1] = 4 * (kSide + 3);
  strided.stride_bytes[2] = 4;
  mmreg_call_options options = sized<mmreg_call_options>();
  options.start = MMREG_START_HEADERS;
  mmreg_result one = sized<mmreg_result>(), other = sized<mmreg_result>();
  CHECK(mmreg_session_register(host.session, &strided, &options, nullptr, &one) == MMREG_OK);
  CHECK(mmreg_session_register(host.session, &plain, &options, nullptr, &other) == MMREG_OK);
  CHECK(std::memcmp(one.matrix, other.matrix, sizeof one.matrix) == 0);
  CHECK(one.displacement_max_mm == other.displacement_max_mm);
}

TEST(capi, what_cannot_be_registered_is_refused_and_the_session_goes_on) {
  Fixture host;
  const auto refused = [&](const mmreg_image& moving, mmreg_status status, const char* expected) {
    CHECK(mmreg_session_register(host.session, &moving, nullptr, nullptr, nullptr) == status);
    DOCTEST_CHECK_EQ(code(), expected);
    CHECK(std::strlen(mmreg_last_error()) > 20);
    CHECK(host.run() >= 0);
    CHECK(code().empty());
  };
  std::vector<float> values = host.moving;
  values[77] = kNone;
  refused(image(values), MMREG_INTENSITY_ERROR, "MMREG_E_INTENSITY_NOT_FINITE");
  refused(image(std::vector<float>(values.size(), 3.f)), MMREG_INTENSITY_ERROR, "MMREG_E_INTENSITY_CONSTANT");
  mmreg_image bad = image(host.moving);
  bad.affine[3] = 1000;
  bad.affine[7] = 1000;
  refused(bad, MMREG_GEOMETRY_ERROR, "MMREG_E_NO_OVERLAP");
  bad = image(host.moving);
  bad.affine[1] = 0.3;
  refused(bad, MMREG_GEOMETRY_ERROR, "MMREG_E_GRID_SHEAR");
  bad = image(host.moving);
  bad.affine[0] = bad.affine[5] = 0;
  refused(bad, MMREG_GEOMETRY_ERROR, "MMREG_E_GRID_SPACING");
  bad = image(host.moving);
  bad.affine[5] = std::nan("");
  refused(bad, MMREG_GEOMETRY_ERROR, "MMREG_E_GRID_NOT_FINITE");
  bad = image(host.moving);
  bad.shape[0] = std::int64_t(1) << 40;
  refused(bad, MMREG_GEOMETRY_ERROR, "MMREG_E_GRID_SHAPE");
  bad = image(host.moving);
  bad.shape[0] = 2;
  bad.shape[1] = kSide / 2;
  refused(bad, MMREG_GEOMETRY_ERROR, "MMREG_E_DIMS_MISMATCH");
  bad = image(host.moving);
  bad.dtype = 17;
  refused(bad, MMREG_INPUT_ERROR, "MMREG_E_ARGUMENT");
  bad = image(host.moving);
  bad.struct_size = 3;
  refused(bad, MMREG_INPUT_ERROR, "MMREG_E_STRUCT_SIZE");
  bad = image(host.moving);
  bad.data = nullptr;
  refused(bad, MMREG_INPUT_ERROR, "MMREG_E_ARGUMENT");
}

TEST(capi, nan_outside_the_mask_does_not_matter) {
  Fixture host;
  std::vector<std::uint8_t> mask(host.moving.size(), 1);
  mask[5] = 0;
  host.moving[5] = kNone;
  mmreg_image moving = image(host.moving);
  moving.mask = mask.data();
  mmreg_result result = sized<mmreg_result>();
  CHECK(mmreg_session_register(host.session, &moving, nullptr, nullptr, &result) == MMREG_OK);
  CHECK(std::isfinite(result.displacement_max_mm));
  std::fill(mask.begin(), mask.end(), 0);
  CHECK(mmreg_session_register(host.session, &moving, nullptr, nullptr, &result) == MMREG_INPUT_ERROR);
  CHECK(code() == "MMREG_E_MASK_EMPTY");
}

TEST(capi, structures_of_other_versions_are_understood) {
  Fixture host;
  struct {
    mmreg_result result;
    char later[8];
  } newer{};
  newer.result.struct_size = sizeof newer;
  std::memset(newer.later, 7, sizeof newer.later);
  const mmreg_image moving = image(host.moving);
  CHECK(mmreg_session_register(host.session, &moving, nullptr, nullptr, &newer.result) == MMREG_OK);
  CHECK(newer.result.sequence == 1 && newer.later[0] == 7 && newer.result.struct_size == sizeof newer);
  mmreg_result older{};
  older.struct_size = offsetof(mmreg_result, matrix);
  older.matrix[0] = -5;
  CHECK(mmreg_session_register(host.session, &moving, nullptr, nullptr, &older) == MMREG_OK);
  CHECK(older.tracked == 1 && older.matrix[0] == -5);
}

TEST(capi, memory_of_results_is_checked_before_the_work) {
  Fixture host;
  std::vector<float> small(kSide * kSide - 1);
  mmreg_outputs outputs = sized<mmreg_outputs>();
  outputs.warped = small.data();
  outputs.warped_bytes = small.size() * sizeof(float);
  CHECK(host.run(nullptr, &outputs) == MMREG_INPUT_ERROR);
  CHECK(code() == "MMREG_E_OUTPUT_SIZE");
  double point[3] = {0, 0, 0};
  CHECK(mmreg_session_map_points(host.session, point, 1, point) == MMREG_INPUT_ERROR);
  CHECK(code() == "MMREG_E_NO_RESULT");
}

TEST(capi, limits_of_memory_and_size_hold) {
  mmreg_context_options options = sized<mmreg_context_options>();
  options.memory_limit_bytes = 1 << 20;
  mmreg_context* context = nullptr;
  CHECK(mmreg_context_create(&options, &context) == MMREG_OK);
  mmreg_session_options most = sized<mmreg_session_options>();
  for (int a = 0; a < 3; ++a) most.largest_fixed[a] = most.largest_moving[a] = 256;
  mmreg_session* session = nullptr;
  CHECK(mmreg_session_create(context, &most, &session) == MMREG_OUT_OF_MEMORY_ERROR);
  CHECK(session == nullptr);
  for (int a = 0; a < 3; ++a) most.largest_fixed[a] = most.largest_moving[a] = 8;
  CHECK(mmreg_session_create(context, &most, &session) == MMREG_OK);
  const std::vector<float> values = bumps(1, 0);
  const mmreg_image fixed = image(values);
  CHECK(mmreg_session_set_fixed(session, &fixed) == MMREG_INPUT_ERROR);
  CHECK(code() == "MMREG_E_SESSION_GRID");
  CHECK(mmreg_context_destroy(&context) == MMREG_BUSY_ERROR);
  CHECK(context != nullptr);
  CHECK(mmreg_session_destroy(&session) == MMREG_OK);
  CHECK(mmreg_context_destroy(&context) == MMREG_OK);
}

TEST(capi, a_cancel_stops_the_running_call_or_the_next_one) {
  Fixture host(sized<mmreg_session_options>(), 1);
  mmreg_session_cancel(host.session);
  CHECK(host.run() == MMREG_CANCELLED_ERROR);
  CHECK(code() == "MMREG_E_CANCELLED");
  CHECK(host.run() == MMREG_OK);
  std::atomic<bool> done{false};
  std::thread canceller([&] {
    mmreg_health health = sized<mmreg_health>();
    while (!done) {
      mmreg_session_health(host.session, &health);
      if (health.state == MMREG_RUNNING) mmreg_session_cancel(host.session);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  int cancelled = 0;
  mmreg_call_options options = sized<mmreg_call_options>();
  options.start = MMREG_START_HEADERS;
  for (int k = 0; k < 20; ++k) cancelled += host.run(&options) == MMREG_CANCELLED_ERROR;
  done = true;
  canceller.join();
  CHECK(cancelled > 10);
  (void)host.run();  // uses up a cancellation that came too late
  CHECK(host.run() == MMREG_OK);
}

TEST(capi, a_second_caller_is_refused) {
  Fixture host(sized<mmreg_session_options>(), 12);
  std::atomic<bool> done{false};
  std::atomic<int> busy{0}, other{0};
  std::thread second([&] {
    while (!done) {
      double point[3] = {0, 0, 0};
      const mmreg_status status = mmreg_session_map_points(host.session, point, 1, point);
      (status == MMREG_BUSY_ERROR ? busy : other)++;
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  });
  mmreg_call_options options = sized<mmreg_call_options>();
  options.start = MMREG_START_HEADERS;
  for (int k = 0; k < 3; ++k) {
    const mmreg_status status = host.run(&options);
    CHECK(status == MMREG_OK || status == MMREG_BUSY_ERROR);
  }
  done = true;
  second.join();
  CHECK(busy > 0);
}

TEST(capi, a_deadline_that_has_passed_gets_an_answer) {
  Fixture host(sized<mmreg_session_options>(), 12);
  mmreg_call_options options = sized<mmreg_call_options>();
  options.deadline_ms = 0.001;
  std::vector<float> field(std::size_t(3 * 12 * kSide * kSide), kNone);
  mmreg_outputs outputs = sized<mmreg_outputs>();
  outputs.displacement_mm = field.data();
  outputs.displacement_bytes = field.size() * sizeof(float);
  CHECK(host.run(&options, &outputs) == MMREG_DEGRADED);
  CHECK(host.result.degraded == 1);
  bool finite = true;
  for (const float value : field) finite &= std::isfinite(value);
  CHECK(finite);
  CHECK(host.run() == MMREG_OK);  // the next call is whole
  CHECK(host.result.finished == MMREG_STAGE_DEFORM);
}

}  // namespace mmreg::test
