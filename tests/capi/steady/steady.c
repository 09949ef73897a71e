/* steady DEPTH SIDE WARM_UP CALLS DEADLINE_MS START: registers a cycle of 16 frames that move as breathing does, and
 * prints, of the calls after the warm-up: calls for memory and page faults of all of them, growth of the resident
 * memory in kB over their last four fifths, latencies in ms, and how many were degraded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <mmreg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { CYCLE = 16 };
static int depth, side;

static void draw(float* out, double phase, unsigned seed) {
  const double shift = 4 * sin(phase);
  int z, y, x;
  for (z = 0; z < depth; ++z)
    for (y = 0; y < side; ++y)
      for (x = 0; x < side; ++x) {
        const double n = side, e = (z - 0.5 * (depth - 1)) / n, a = (y - 0.5 * n) / n, b = (x - 0.5 * n) / n;
        const double c = (y - 0.55 * n - shift) / n, f = (x - 0.3 * n + shift / 3) / n, g = (y - 0.4 * n - shift) / n;
        seed = seed * 1664525u + 1013904223u;
        *out++ = (float)(0.5 / (1 + exp(60 * (a * a / 0.15 + b * b / 0.19 + e * e / 0.16 - 1))) +
                         0.8 * exp(-(c * c / 0.01 + b * b / 0.006 + e * e / 0.02)) +
                         0.6 * exp(-(f * f / 0.004 + g * g / 0.007 + e * e / 0.01)) +
                         0.1 * ((seed >> 8) / 16777216.0 - 0.5));
      }
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e3 * t.tv_sec + 1e-6 * t.tv_nsec;
}

static long resident_kb(void) {
  char text[128];
  const int file = open("/proc/self/statm", O_RDONLY); /* stdio would take memory */
  const ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
  if (file >= 0) close(file);
  if (length <= 0) return 0;
  text[length] = 0;
  return strtol(strchr(text, ' ') ? strchr(text, ' ') : text, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
}

static long faults(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

static int ascending(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static void check(mmreg_status status) {
  if (status >= 0) return;
  fprintf(stderr, "%s [%s]\n", mmreg_last_error(), mmreg_last_code());
  exit(1);
}

int main(int count, char** words) {
  long (*heap_calls)(void);
  mmreg_context_options host = {.struct_size = sizeof host};
  mmreg_session_options settings = {.struct_size = sizeof settings};
  mmreg_call_options call = {.struct_size = sizeof call};
  mmreg_outputs outputs = {.struct_size = sizeof outputs};
  mmreg_result result = {.struct_size = sizeof result};
  mmreg_image image = {.struct_size = sizeof image, .affine = {1.5, 0, 0, 0, 0, 1.5, 0, 0, 0, 0, 1.5, 0, 0, 0, 0, 1}};
  mmreg_context* context;
  mmreg_session* session;
  size_t voxels;
  float *frames, *field, *warped;
  double* ms;
  int warm_up, calls, k, degraded = 0;
  long heap = 0, touched = 0, before_kb = 0, after_kb;
  if (count != 7) return 2;
  depth = atoi(words[1]);
  side = atoi(words[2]);
  warm_up = atoi(words[3]);
  calls = atoi(words[4]);
  call.deadline_ms = atof(words[5]);
  call.start = atoi(words[6]);
  *(void**)&heap_calls = dlsym(RTLD_DEFAULT, "heap_calls");
  voxels = (size_t)depth * side * side;
  frames = malloc((CYCLE + 1) * voxels * sizeof *frames);
  field = calloc(3 * voxels, sizeof *field);
  warped = calloc(voxels, sizeof *warped);
  ms = calloc((size_t)calls, sizeof *ms);
  for (k = 0; k <= CYCLE; ++k) draw(frames + k * voxels, k == CYCLE ? 0 : 6.283185307 * k / CYCLE, k + 1u);
  for (k = 0; k < calls; ++k) ms[k] = 1; /* touches its pages now */
  image.shape[0] = depth;
  image.shape[1] = image.shape[2] = side;
  image.data = frames + CYCLE * voxels;
  outputs.displacement_mm = field;
  outputs.displacement_bytes = 3 * voxels * sizeof *field;
  outputs.warped = warped;
  outputs.warped_bytes = voxels * sizeof *warped;
  check(mmreg_context_create(&host, &context));
  check(mmreg_session_create(context, &settings, &session));
  check(mmreg_session_set_fixed(session, &image));
  image.data = frames;
  if (call.deadline_ms > 0) check(mmreg_session_warm_up(session, &image, &call, 2, NULL));
  for (k = -warm_up; k < calls; ++k) {
    double began;
    mmreg_status status;
    if (k == 0) {
      touched = faults();
      heap = heap_calls ? heap_calls() : 0;
    }
    image.data = frames + (size_t)((k + warm_up) % CYCLE) * voxels;
    began = now_ms();
    status = mmreg_session_register(session, &image, &call, &outputs, &result);
    if (k >= 0) {
      ms[k] = now_ms() - began;
      degraded += status == MMREG_DEGRADED;
    }
    check(status);
    if (k == calls / 5) before_kb = resident_kb();
  }
  heap = heap_calls ? heap_calls() - heap : -1;
  touched = faults() - touched;
  after_kb = resident_kb();
  qsort(ms, (size_t)calls, sizeof *ms, ascending);
  printf(
      "{\"heap_calls\": %ld, \"page_faults\": %ld, \"growth_kb\": %ld, \"p50_ms\": %.3f, \"p90_ms\": %.3f, "
      "\"p99_ms\": %.3f, \"max_ms\": %.3f, \"degraded\": %d}\n",
      heap, touched, after_kb - before_kb, ms[calls / 2], ms[calls * 9 / 10], ms[calls * 99 / 100], ms[calls - 1],
      degraded);
  check(mmreg_session_destroy(&session));
  check(mmreg_context_destroy(&context));
  free(ms);
  free(warped);
  free(field);
  free(frames);
  return 0;
}
