/* c_host: registers a stream of raw frames to the first one, as a device would, and prints latencies and overruns.
 *
 *   c_host --shape D H W --spacing D H W [--dtype uint16] [--deadline-ms T] [--threads N] [--matrices FILE] <
 * frames.raw
 *
 * Frames follow each other without headers, W fastest, in the byte order of this machine. --matrices writes twelve
 * numbers for each frame, the rows of its linear part, fixed mm to moving mm.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <mmreg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };
static const int warm_up_runs = 3;

struct arguments {
  int64_t shape[3];
  double spacing_mm[3];
  int32_t dtype;
  size_t voxel_bytes;
  double deadline_ms;
  int threads;
  const char* matrices;
};

static mmreg_session* session; /* for the signal handler */

static void stop(int number) {
  (void)number;
  mmreg_session_cancel(session);
}

static void fail(const char* what) {
  fprintf(stderr, "c_host: %s: %s [%s]\n", what, mmreg_last_error(), mmreg_last_code());
  exit(EXIT_FAILED);
}

static void usage(const char* what) {
  fprintf(stderr,
          "c_host: %s\nusage: c_host --shape D H W --spacing D H W [--dtype float32|uint8|int16|uint16] "
          "[--deadline-ms T] [--threads N] [--matrices FILE] < frames.raw\n",
          what);
  exit(EXIT_USAGE);
}

static double number(const char* text) {
  char* end;
  double value;
  errno = 0;
  value = strtod(text, &end);
  if (errno || end == text || *end) usage("a number was expected");
  return value;
}

static void set_dtype(struct arguments* a, const char* name) {
  static const struct {
    const char* name;
    int32_t dtype;
    size_t bytes;
  } known[] = {
      {"float32", MMREG_FLOAT32, 4}, {"uint8", MMREG_UINT8, 1}, {"int16", MMREG_INT16, 2}, {"uint16", MMREG_UINT16, 2}};
  size_t k;
  for (k = 0; k < sizeof known / sizeof known[0]; ++k)
    if (strcmp(name, known[k].name) == 0) {
      a->dtype = known[k].dtype;
      a->voxel_bytes = known[k].bytes;
      return;
    }
  usage("unknown --dtype");
}

static struct arguments parse(int count, char** words) {
  struct arguments a = {{0, 0, 0}, {1, 1, 1}, MMREG_FLOAT32, 4, 0, 0, NULL};
  int at = 1, k;
  while (at < count) {
    const char* option = words[at++];
    const int values = strcmp(option, "--shape") == 0 || strcmp(option, "--spacing") == 0 ? 3 : 1;
    if (at + values > count) usage("an option lacks its value");
    if (strcmp(option, "--shape") == 0)
      for (k = 0; k < 3; ++k) a.shape[k] = (int64_t)number(words[at + k]);
    else if (strcmp(option, "--spacing") == 0)
      for (k = 0; k < 3; ++k) a.spacing_mm[k] = number(words[at + k]);
    else if (strcmp(option, "--dtype") == 0)
      set_dtype(&a, words[at]);
    else if (strcmp(option, "--deadline-ms") == 0)
      a.deadline_ms = number(words[at]);
    else if (strcmp(option, "--threads") == 0)
      a.threads = (int)number(words[at]);
    else if (strcmp(option, "--matrices") == 0)
      a.matrices = words[at];
    else
      usage("unknown option");
    at += values;
  }
  for (k = 0; k < 3; ++k)
    if (a.shape[k] < 1 || a.shape[k] > 1 << 16) usage("--shape must be three whole numbers from 1 to 65536");
  return a;
}

static mmreg_image image_of(const struct arguments* a, const void* data) {
  mmreg_image image = {0};
  int k;
  image.struct_size = sizeof image;
  image.dtype = a->dtype;
  image.data = data;
  for (k = 0; k < 3; ++k) {
    image.shape[k] = a->shape[k];
    image.affine[5 * k] = a->spacing_mm[k];
  }
  image.affine[15] = 1;
  return image;
}

static void open_session(const struct arguments* a, mmreg_context** context, const mmreg_image* fixed) {
  mmreg_context_options host = {0};
  mmreg_session_options options = {0};
  mmreg_call_options call = {0};
  double slowest_ms;
  host.struct_size = sizeof host;
  host.threads = a->threads;
  options.struct_size = sizeof options;
  call.struct_size = sizeof call;
  memcpy(options.largest_fixed, a->shape, sizeof a->shape);
  memcpy(options.largest_moving, a->shape, sizeof a->shape);
  if (mmreg_context_create(&host, context) < 0) fail("context");
  if (mmreg_session_create(*context, &options, &session) < 0) fail("session");
  if (mmreg_session_set_fixed(session, fixed) < 0) fail("fixed image");
  if (mmreg_session_warm_up(session, fixed, &call, warm_up_runs, &slowest_ms) < 0) fail("warm-up");
  printf("mmreg %s, warm-up %.1f ms\n", mmreg_version(), slowest_ms);
}

static int ascending(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static void report(double* ms, size_t count, size_t overruns, size_t degraded) {
  if (count == 0) {
    printf("no frame after the fixed one\n");
    return;
  }
  qsort(ms, count, sizeof *ms, ascending);
  printf("%zu frames: p50 %.2f ms, p90 %.2f, p99 %.2f, max %.2f; %zu overruns, %zu degraded\n", count, ms[count / 2],
         ms[count * 9 / 10], ms[count * 99 / 100], ms[count - 1], overruns, degraded);
}

/* Registers frames until the stream ends or a signal cancels; returns how many there were. */
static size_t run(const struct arguments* a, void* frame, size_t bytes, float* warped, FILE* matrices) {
  static double ms[1 << 20];
  size_t count = 0, overruns = 0, degraded = 0;
  mmreg_outputs outputs = {0};
  mmreg_call_options call = {0};
  int k;
  outputs.struct_size = sizeof outputs;
  outputs.warped = warped;
  outputs.warped_bytes = bytes / a->voxel_bytes * sizeof(float);
  call.struct_size = sizeof call;
  call.deadline_ms = a->deadline_ms;
  while (count < sizeof ms / sizeof ms[0] && fread(frame, 1, bytes, stdin) == bytes) {
    mmreg_result result = {0};
    mmreg_image moving = image_of(a, frame);
    mmreg_status status;
    result.struct_size = sizeof result;
    status = mmreg_session_register(session, &moving, &call, &outputs, &result);
    if (status == MMREG_CANCELLED_ERROR) break;
    if (status < 0) fail("frame");
    degraded += status == MMREG_DEGRADED;
    overruns += a->deadline_ms > 0 && result.elapsed_ms > a->deadline_ms;
    ms[count++] = result.elapsed_ms;
    if (matrices)
      for (k = 0; k < 12; ++k) fprintf(matrices, "%.17g%c", result.matrix[k], k == 11 ? '\n' : ' ');
  }
  report(ms, count, overruns, degraded);
  return count;
}

int main(int count, char** words) {
  const struct arguments a = parse(count, words);
  const size_t voxels = (size_t)(a.shape[0] * a.shape[1] * a.shape[2]), bytes = voxels * a.voxel_bytes;
  void *const fixed = malloc(bytes), *const frame = malloc(bytes);
  float* const warped = malloc(voxels * sizeof *warped);
  FILE* const matrices = a.matrices ? fopen(a.matrices, "w") : NULL;
  mmreg_context* context = NULL;
  mmreg_image first;
  if (!fixed || !frame || !warped) usage("not enough memory for frames of this shape");
  if (a.matrices && !matrices) usage("--matrices cannot be written");
  if (mmreg_abi_version() != MMREG_ABI_VERSION) usage("libmmreg has another ABI version than mmreg.h");
  if (fread(fixed, 1, bytes, stdin) != bytes) usage("the stream has no whole frame");
  first = image_of(&a, fixed);
  open_session(&a, &context, &first);
  signal(SIGINT, stop);
  signal(SIGTERM, stop);
  run(&a, frame, bytes, warped, matrices);
  mmreg_session_destroy(&session);
  mmreg_context_destroy(&context);
  if (matrices && fclose(matrices) != 0) usage("--matrices could not be written");
  free(warped);
  free(frame);
  free(fixed);
  return 0;
}
