/* mmreg.h: registration of medical images inside a device. Plain C99, linked as libmmreg.so.1; docs/c_api.md is the
 * guide.
 *
 * A context holds the settings of the host, a session one fixed image and a stream of moving images. The answer to each
 * moving image is a transform that maps a point of the fixed image to the same anatomy in the moving one:
 * warped(p) = moving(p + displacement(p)). Fields, matrices and images are bit for bit those of the Python package.
 *
 * Structures begin with struct_size, which the caller sets to sizeof the structure; later versions only append fields.
 * A field of 0 is the default, so `mmreg_session_options options = {.struct_size = sizeof options};` is complete. The
 * caller owns all memory that it passes, and the library keeps none of it after the call, except of the log callback
 * and its argument.
 *
 * Threads: a context may be used by any thread. A session serves one caller at a time; a second one gets
 * MMREG_BUSY_ERROR at once. mmreg_session_cancel and mmreg_session_health may be called at any time by any thread, and
 * mmreg_session_cancel by a signal handler, as long as the session lives.
 *
 * The library starts threads only in mmreg_session_create and mmreg_deployment_load, installs no signal handlers,
 * writes no files, reads no environment variables, and throws no exceptions. It loads an engine only for a deployment.
 */
#ifndef MMREG_H
#define MMREG_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MMREG_API __attribute__((visibility("default")))
#else
#define MMREG_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define MMREG_ABI_VERSION 1

/* 0: an answer. Above 0: an answer with a remark. Below 0: an error and no answer; mmreg_last_code and mmreg_last_error
 * say which. */
typedef int32_t mmreg_status;
enum {
  MMREG_OK = 0,
  MMREG_DEGRADED = 1, /* the deadline cut the work short: the result holds the best finished stage */
  /* generated from the errors of the Python package by `make pages` */
  MMREG_INPUT_ERROR = -1,
  MMREG_GEOMETRY_ERROR = -2,
  MMREG_INTENSITY_ERROR = -3,
  MMREG_BUNDLE_ERROR = -4,
  MMREG_TRANSFORM_ERROR = -5,
  MMREG_BACKEND_UNAVAILABLE_ERROR = -6,
  MMREG_DEVICE_ERROR = -7,
  MMREG_OUT_OF_MEMORY_ERROR = -8,
  MMREG_REGISTRATION_ERROR = -9,
  MMREG_CANCELLED_ERROR = -10,
  MMREG_BUSY_ERROR = -20,
  MMREG_HUNG_ERROR = -21,
  MMREG_INTERNAL_ERROR = -99
  /* end of the generated part */
};

typedef struct mmreg_context mmreg_context;
typedef struct mmreg_deployment mmreg_deployment;
typedef struct mmreg_session mmreg_session;

/* Called by any thread of the library, never after mmreg_context_destroy. */
enum { MMREG_LOG_INFO = 1, MMREG_LOG_WARNING = 2, MMREG_LOG_ERROR = 3 };
typedef void (*mmreg_log)(void* user, int32_t level, const char* code, const char* text);

typedef struct {
  uint32_t struct_size;
  int32_t threads;    /* of each session; 0: as many as this process may use */
  const char* target; /* "baseline", "avx2" or "avx512"; null: the best of this CPU; results agree to rounding */
  uint64_t memory_limit_bytes; /* of each session, checked before its work; 0: none */
  mmreg_log log;               /* null: none */
  void* log_user;
  const char* engine_path; /* absolute path of the folder with OpenVINO's libopenvino_c.so.*, ONNX Runtime's
                              libonnxruntime.so.* or TensorRT's libnvinfer.so.*, for deployments; null: the folder of
                              libmmreg */
  int32_t shares_cores;    /* 1: idle threads sleep at once, for hosts whose other work needs the processors; 0: during
                              a call they stay awake for 50 us, which makes a call on slices up to 20 % shorter */
} mmreg_context_options;

enum { MMREG_RAS = 0, MMREG_LPS = 1 }; /* axes of space: NIfTI; DICOM and ITK */
enum { MMREG_ALIGN_AFFINE = 0, MMREG_ALIGN_RIGID = 1, MMREG_ALIGN_NONE = 2 };

enum { MMREG_REFINE_DEFAULT = 0, MMREG_REFINE_ON = 1, MMREG_REFINE_OFF = 2 };

typedef struct {
  uint32_t struct_size;
  int32_t space;               /* MMREG_RAS or MMREG_LPS: of all affines, matrices, points and fields of the session */
  int32_t align;               /* linear part: MMREG_ALIGN_...; rigid networks of a deployment replace it */
  int32_t without_deformation; /* 1: the linear part alone */
  int32_t unrelated_headers;   /* 1: the affines of fixed and moving images share no space, and need not overlap */
  int64_t largest_fixed[3];    /* voxels along each axis that any image may have; 0, 0, 0: any */
  int64_t largest_moving[3];
  mmreg_deployment* deployment; /* networks that deform or align; must outlive the session; null: the solver alone */
  int32_t refine;               /* whether the solver continues from its field; DEFAULT: as the deployment says */
  double hang_limit_ms;         /* from the cancellation of a run until its engine counts as hung; 0: 10,000 */
} mmreg_session_options;

enum { MMREG_FLOAT32 = 0, MMREG_UINT8 = 1, MMREG_INT16 = 2, MMREG_UINT16 = 3, MMREG_INT32 = 4, MMREG_FLOAT64 = 5 };

typedef struct {
  uint32_t struct_size;
  int32_t dtype;           /* MMREG_FLOAT32, ... */
  const void* data;        /* must be finite inside the mask */
  int64_t shape[3];        /* D, H, W; D = 1 is a slice */
  int64_t stride_bytes[3]; /* between neighbours along D, H, W; 0, 0, 0: contiguous, W fastest */
  double affine[16];       /* 4 x 4, row by row: index (d, h, w) to mm */
  const uint8_t* mask;     /* contiguous, of the same shape: voxels that are 0 are left out; null: none is */
  uint64_t timestamp_ns;   /* of a moving image: returned with its result */
} mmreg_image;

enum { MMREG_START_LAST = 0, MMREG_START_HEADERS = 1, MMREG_START_MATRIX = 2 };
enum { MMREG_QUALITY_FAST = 0, MMREG_QUALITY_FULL = 1, MMREG_QUALITY_NONE = 2 };

typedef struct {
  uint32_t struct_size;
  int32_t start;           /* LAST: the transform of the call before, if there is one and it still fits. HEADERS: search
                              from the affines of the images. MATRIX: from start_matrix, as LAST does */
  double start_matrix[16]; /* 4 x 4, rigid: fixed mm to moving mm */
  double deadline_ms;      /* for the whole call; 0: none */
  int32_t quality;         /* figures to measure; FAST leaves out MIND and the consistency of the inverse */
  int32_t has_outside;     /* 1: `outside` is the value of `warped` outside of the moving image; 0: its lowest value */
  float outside;
  int32_t reserved; /* 0 */
} mmreg_call_options;

/* Memory for the results: a null pointer leaves a result out, another one needs at least the stated number of bytes. */
typedef struct {
  uint32_t struct_size;
  float* displacement_mm; /* (3, D, H, W) of the fixed image, C order: x, y, z in mm */
  size_t displacement_bytes;
  float* inverse_mm; /* (3, D, H, W) of the moving image: moving point to fixed point; takes time */
  size_t inverse_bytes;
  float* warped; /* (D, H, W) of the fixed image */
  size_t warped_bytes;
  uint8_t* valid; /* (D, H, W) of the fixed image: 1 where the moving image was sampled */
  size_t valid_bytes;
} mmreg_outputs;

enum { MMREG_STAGE_NONE = 0, MMREG_STAGE_ALIGN = 1, MMREG_STAGE_NETWORK = 2, MMREG_STAGE_DEFORM = 3 };

typedef struct {
  uint32_t struct_size;
  int32_t degraded;        /* 1: the deadline cut the work short */
  int32_t tracked;         /* 1: started from the transform of the call before, or from the matrix */
  int32_t finished;        /* the last stage that was completed: MMREG_STAGE_... */
  int32_t has_inverse;     /* 1: inverse_mm was written; 0: not asked for, or no time for it */
  int32_t has_deformation; /* 1: the displacement is more than the matrix */
  double matrix[16];       /* 4 x 4, the linear part: fixed mm to moving mm */
  double rigid[16];        /* its rigid part */
  double elapsed_ms;       /* of the whole call */
  double align_ms, network_ms, deform_ms, finish_ms;
  /* Figures of quality, as in docs/quality.md; NaN, or -1 for counts: not measured. */
  double nmi_before, nmi_after, mind_before, mind_after, overlap, min_jacobian;
  double displacement_p50_mm, displacement_p95_mm, displacement_max_mm;
  double inverse_consistency_p95_mm;
  int64_t folded_voxels, inverse_folded_voxels;
  uint64_t timestamp_ns; /* of the moving image */
  uint64_t sequence;     /* 1 for the first answer of the session */
} mmreg_result;

/* DEAD: an engine did not return; every call returns MMREG_HUNG_ERROR, except of destroy, which leaves its memory and
 * its thread behind. */
enum { MMREG_IDLE = 0, MMREG_RUNNING = 1, MMREG_DEAD = 2 };

typedef struct {
  uint32_t struct_size;
  int32_t state;      /* MMREG_IDLE, MMREG_RUNNING, MMREG_DEAD */
  uint64_t heartbeat; /* grows between the steps of the work */
  double running_ms;  /* of the current call; 0: idle */
} mmreg_health;

MMREG_API uint32_t mmreg_abi_version(void);            /* compare with MMREG_ABI_VERSION before anything else */
MMREG_API const char* mmreg_version(void);             /* of the library: "0.1.0" */
MMREG_API const char* mmreg_status_text(mmreg_status); /* "geometry error"; static */
/* Of the last call of this thread that failed; "" if the last one did not. Valid until its next call. */
MMREG_API const char* mmreg_last_error(void); /* what is wrong and what to do, in English */
MMREG_API const char* mmreg_last_code(void);  /* "MMREG_E_NO_OVERLAP", as in Python and docs/errors.md */

MMREG_API mmreg_status mmreg_context_create(const mmreg_context_options* options, mmreg_context** context);
/* MMREG_BUSY_ERROR while it has sessions or deployments. Sets *context to null. */
MMREG_API mmreg_status mmreg_context_destroy(mmreg_context** context);

/* Loads the folder that `mmreg deploy` wrote: checks every file, compiles the network and runs it on its golden pair.
 * `public_key`: 32 bytes of Ed25519 with whose private key the deployment must be signed; null: it need not be. The
 * deployment does not change afterwards, and any number of sessions may use it. */
MMREG_API mmreg_status mmreg_deployment_load(mmreg_context* context, const char* path, const uint8_t* public_key,
                                             mmreg_deployment** deployment);
/* Runs the network on its golden pair ten times; MMREG_BUNDLE_ERROR if an output deviates more than its limit. */
MMREG_API mmreg_status mmreg_deployment_self_test(mmreg_deployment* deployment, double* worst_mm, double* slowest_ms);
/* Writes deployment.txt and two lines on the engine, with a null character at the end. *bytes is the size of `text`
 * and becomes that which is needed; a null `text` only asks for it. */
MMREG_API mmreg_status mmreg_deployment_describe(mmreg_deployment* deployment, char* text, size_t* bytes);
/* MMREG_BUSY_ERROR while sessions use it. Sets *deployment to null. */
MMREG_API mmreg_status mmreg_deployment_destroy(mmreg_deployment** deployment);

MMREG_API mmreg_status mmreg_session_create(mmreg_context* context, const mmreg_session_options* options,
                                            mmreg_session** session);
/* Measures the fixed image and keeps a copy. Forgets the last transform. */
MMREG_API mmreg_status mmreg_session_set_fixed(mmreg_session* session, const mmreg_image* fixed);
/* Registers the image to the fixed one. `options` may be null, and so may `outputs`. */
MMREG_API mmreg_status mmreg_session_register(mmreg_session* session, const mmreg_image* moving,
                                              const mmreg_call_options* options, const mmreg_outputs* outputs,
                                              mmreg_result* result);
/* Registers `moving` `runs` times, before that once without the deadline if there is one, and forgets the transforms:
   afterwards a call takes no new memory. */
MMREG_API mmreg_status mmreg_session_warm_up(mmreg_session* session, const mmreg_image* moving,
                                             const mmreg_call_options* options, int32_t runs, double* slowest_ms);

/* Maps points (count, 3) of the fixed image to the moving one by the last result. `mapped` may be `points_mm`. Points
 * outside of the fixed image move with its border. */
MMREG_API mmreg_status mmreg_session_map_points(mmreg_session* session, const double* points_mm, size_t count,
                                                double* mapped_mm);
/* Warps labels of the moving image to the fixed one by the last result: the nearest label, 0 outside. */
MMREG_API mmreg_status mmreg_session_warp_labels(mmreg_session* session, const mmreg_image* labels, int32_t* warped,
                                                 size_t warped_bytes);

/* Stops the call that runs, which returns MMREG_CANCELLED_ERROR; if none does, the next one. A network stops between
 * two of its layers: within slack_ms of its deployment. */
MMREG_API void mmreg_session_cancel(mmreg_session* session);
MMREG_API mmreg_status mmreg_session_health(const mmreg_session* session, mmreg_health* health);
/* Cancels, waits for the call that runs, and sets *session to null. Does not wait for a hung engine. */
MMREG_API mmreg_status mmreg_session_destroy(mmreg_session** session);

#ifdef __cplusplus
}
#endif
#endif
