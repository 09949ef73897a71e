/* c_host: registers a stream of raw frames to the first one, as a device would, and prints latencies and overruns.
 *
 *   c_host --shape D H W --spacing D H W [options] < frames.raw
 *
 * Frames follow each other without headers, W fastest, in the byte order of this machine; the spacing is in mm. A frame
 * that cannot be registered is counted, and the stream goes on. SIGINT and SIGTERM end it. --matrices writes a line for
 * each answer: the number of the frame and twelve numbers, the rows of its linear part, fixed mm to moving mm.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <mmreg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
static volatile sig_atomic_t stopped;

/* The registration that runs is cancelled. Closing the stream ends a read that waits, and one that is about to. */
static void stop(int number) {
  (void)number;
  stopped = 1;
  mmreg_session_cancel(session);
  close(STDIN_FILENO);
}

/* Blocks or unblocks all signals. Threads that begin meanwhile leave them to this one, whose reads they are to end. */
static void mask_signals(int how) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(how, &all, NULL);
}

static void handle_signals(void (*handler)(int)) {
  struct sigaction action = {0};
  action.sa_handler = handler;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

static void fail(const char* what) {
  fprintf(stderr, "c_host: %s\n", what);
  exit(EXIT_FAILED);
}

static void check(mmreg_status status, const char* what) {
  if (status >= 0) return;
  fprintf(stderr, "c_host: %s: %s [%s]\n", what, mmreg_last_error(), mmreg_last_code());
  exit(EXIT_FAILED);
}

static void usage(const char* option, const char* what) {
  fprintf(stderr,
          "c_host: %s %s\nusage: c_host --shape D H W --spacing D H W [--dtype float32|uint8|int16|uint16] "
          "[--deadline-ms T] [--threads N] [--matrices FILE] < frames.raw\n",
          option, what);
  exit(EXIT_USAGE);
}

/* ---- arguments ---- */

static double number(const char* option, const char* text, double least, double most) {
  char* end;
  double value;
  errno = 0;
  value = strtod(text, &end);
  if (errno || end == text || *end || !(value >= least && value <= most)) usage(option, "has a value out of range");
  return value;
}

static int whole(const char* option, const char* text, int least, int most) {
  const double value = number(option, text, least, most);
  if (value != (int)value) usage(option, "needs whole numbers");
  return (int)value;
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
  usage("--dtype", "is unknown");
}

static void set(struct arguments* a, const char* option, char** values) {
  int k;
  if (strcmp(option, "--shape") == 0)
    for (k = 0; k < 3; ++k) a->shape[k] = whole(option, values[k], 1, 65536);
  else if (strcmp(option, "--spacing") == 0)
    for (k = 0; k < 3; ++k) a->spacing_mm[k] = number(option, values[k], 1e-6, 1e6);
  else if (strcmp(option, "--dtype") == 0)
    set_dtype(a, values[0]);
  else if (strcmp(option, "--deadline-ms") == 0)
    a->deadline_ms = number(option, values[0], 0, 1e9);
  else if (strcmp(option, "--threads") == 0)
    a->threads = whole(option, values[0], 0, 1024);
  else if (strcmp(option, "--matrices") == 0)
    a->matrices = values[0];
  else
    usage(option, "is unknown");
}

static struct arguments parse(int count, char** words) {
  struct arguments a = {{0, 0, 0}, {0, 0, 0}, MMREG_FLOAT32, 4, 0, 0, NULL};
  int at = 1;
  while (at < count) {
    const char* option = words[at++];
    const int values = strcmp(option, "--shape") == 0 || strcmp(option, "--spacing") == 0 ? 3 : 1;
    if (at + values > count) usage(option, "lacks a value, or is unknown");
    set(&a, option, words + at);
    at += values;
  }
  if (a.shape[0] == 0) usage("--shape", "is needed");
  if (a.spacing_mm[0] == 0) usage("--spacing", "is needed");
  return a;
}

/* ---- latencies: frames by tenths of a millisecond, so that a stream may be endless ---- */

enum { TENTHS = 100000 };
struct tally {
  uint64_t of_tenth[TENTHS + 1]; /* the last one: all that took longer */
  uint64_t answers, failed, overruns, degraded;
  double longest_ms;
};

static void add(struct tally* t, double ms) {
  ++t->of_tenth[10 * ms < TENTHS ? (int)(10 * ms) : TENTHS];
  ++t->answers;
  if (ms > t->longest_ms) t->longest_ms = ms;
}

static double percentile_ms(const struct tally* t, double share) {
  uint64_t below = 0;
  int k;
  for (k = 0; k < TENTHS; ++k) {
    below += t->of_tenth[k];
    if ((double)below >= share * (double)t->answers) return 0.1 * (k + 1);
  }
  return t->longest_ms;
}

static void report(const struct tally* t) {
  printf("%llu answers, %llu failed", (unsigned long long)t->answers, (unsigned long long)t->failed);
  if (t->answers)
    printf("; p50 %.1f ms, p90 %.1f, p99 %.1f, longest %.1f; %llu overruns, %llu degraded", percentile_ms(t, 0.5),
           percentile_ms(t, 0.9), percentile_ms(t, 0.99), t->longest_ms, (unsigned long long)t->overruns,
           (unsigned long long)t->degraded);
  printf("%s\n", stopped ? "; stopped by a signal" : "");
}

/* ---- registration ---- */

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

/* Returns the time of the slowest registration of the warm-up, ms. */
static double open_session(const struct arguments* a, mmreg_context** context, const mmreg_image* fixed) {
  mmreg_context_options host = {0};
  mmreg_session_options options = {0};
  double slowest_ms;
  host.struct_size = sizeof host;
  host.threads = a->threads;
  options.struct_size = sizeof options;
  memcpy(options.largest_fixed, a->shape, sizeof a->shape);
  memcpy(options.largest_moving, a->shape, sizeof a->shape);
  check(mmreg_context_create(&host, context), "context");
  mask_signals(SIG_BLOCK);
  check(mmreg_session_create(*context, &options, &session), "session");
  mask_signals(SIG_UNBLOCK);
  check(mmreg_session_set_fixed(session, fixed), "fixed image");
  check(mmreg_session_warm_up(session, fixed, NULL, warm_up_runs, &slowest_ms), "warm-up");
  return slowest_ms;
}

/* Returns how many bytes of a frame there were: fewer than asked for at the end of the stream. */
static size_t read_frame(void* frame, size_t bytes) {
  const size_t got = fread(frame, 1, bytes, stdin);
  if (got < bytes && ferror(stdin) && !stopped) fail("the stream cannot be read");
  return got;
}

static void write_matrix(FILE* to, uint64_t number_of_frame, const double* matrix) {
  int k;
  if (!to) return;
  fprintf(to, "%llu", (unsigned long long)number_of_frame);
  for (k = 0; k < 12; ++k) fprintf(to, " %.17g", matrix[k]);
  fprintf(to, "\n");
}

/* Registers frames until the stream ends or a signal stops it. Returns the bytes of a last frame that is not whole. */
static size_t run(const struct arguments* a, void* frame, size_t bytes, float* warped, FILE* matrices,
                  struct tally* t) {
  mmreg_outputs outputs = {0};
  mmreg_call_options call = {0};
  uint64_t count = 0;
  size_t got;
  outputs.struct_size = sizeof outputs;
  outputs.warped = warped;
  outputs.warped_bytes = bytes / a->voxel_bytes * sizeof(float);
  call.struct_size = sizeof call;
  call.deadline_ms = a->deadline_ms;
  while ((got = read_frame(frame, bytes)) == bytes && !stopped) {
    mmreg_result result = {0};
    mmreg_image moving = image_of(a, frame);
    mmreg_status status;
    result.struct_size = sizeof result;
    moving.timestamp_ns = ++count;
    status = mmreg_session_register(session, &moving, &call, &outputs, &result);
    if (status == MMREG_CANCELLED_ERROR) return 0;
    if (status < 0) {
      fprintf(stderr, "c_host: frame %llu: %s [%s]\n", (unsigned long long)count, mmreg_last_error(),
              mmreg_last_code());
      ++t->failed;
      continue;
    }
    add(t, result.elapsed_ms);
    t->degraded += status == MMREG_DEGRADED;
    t->overruns += a->deadline_ms > 0 && result.elapsed_ms > a->deadline_ms;
    write_matrix(matrices, result.timestamp_ns, result.matrix);
  }
  return stopped ? 0 : got;
}

int main(int count, char** words) {
  const struct arguments a = parse(count, words);
  const size_t voxels = (size_t)a.shape[0] * (size_t)a.shape[1] * (size_t)a.shape[2], bytes = voxels * a.voxel_bytes;
  void *const fixed = malloc(bytes), *const frame = malloc(bytes);
  float* const warped = malloc(voxels * sizeof *warped);
  FILE* const matrices = a.matrices ? fopen(a.matrices, "w") : NULL;
  static struct tally t;
  double warm_up_ms;
  size_t left;
  mmreg_context* context = NULL;
  mmreg_image first;
  if (mmreg_abi_version() != MMREG_ABI_VERSION) fail("libmmreg has another ABI version than mmreg.h");
  if (!fixed || !frame || !warped) fail("there is not enough memory for frames of this shape");
  if (a.matrices && !matrices) fail("the file of --matrices cannot be written");
  if (read_frame(fixed, bytes) < bytes) fail("the stream has no whole frame");
  first = image_of(&a, fixed);
  warm_up_ms = open_session(&a, &context, &first);
  handle_signals(stop);
  printf("mmreg %s, warm-up %.1f ms\n", mmreg_version(), warm_up_ms);
  fflush(stdout);
  left = run(&a, frame, bytes, warped, matrices, &t);
  handle_signals(SIG_DFL);
  report(&t);
  mmreg_session_destroy(&session);
  mmreg_context_destroy(&context);
  if (matrices && fclose(matrices) != 0) fail("the file of --matrices could not be written");
  free(warped);
  free(frame);
  free(fixed);
  if (left) fail("the stream ends within a frame");
  return 0;
}
