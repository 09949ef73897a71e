/* register_c FIXED MOVING FIELD: registers two images and writes the displacement, (3, D, H, W) float32 in mm.
 * An image is a file of int64 shape[3], double affine[16] and float32 voxels. */
#include <mmreg.h>
#include <stdio.h>
#include <stdlib.h>

static void stop(const char* what) {
  fprintf(stderr, "%s: %s [%s]\n", what, mmreg_last_error(), mmreg_last_code());
  exit(1);
}

static size_t voxels(const mmreg_image* image) { return (size_t)(image->shape[0] * image->shape[1] * image->shape[2]); }

static mmreg_image read_image(const char* path) {
  mmreg_image image = {0};
  float* data;
  FILE* file = fopen(path, "rb");
  image.struct_size = sizeof image;
  if (!file || fread(image.shape, sizeof(int64_t), 3, file) != 3 || fread(image.affine, sizeof(double), 16, file) != 16)
    stop(path);
  data = malloc(voxels(&image) * sizeof(float));
  if (!data || fread(data, sizeof(float), voxels(&image), file) != voxels(&image)) stop(path);
  fclose(file);
  image.data = data;
  return image;
}

int main(int count, char** words) {
  mmreg_context_options host = {0};
  mmreg_session_options options = {0};
  mmreg_outputs outputs = {0};
  mmreg_result result = {0};
  mmreg_context* context = NULL;
  mmreg_session* session = NULL;
  mmreg_image fixed, moving;
  FILE* file;

  if (count != 4 || mmreg_abi_version() != MMREG_ABI_VERSION) return 2;
  fixed = read_image(words[1]);
  moving = read_image(words[2]);
  host.struct_size = sizeof host;
  options.struct_size = sizeof options;
  outputs.struct_size = sizeof outputs;
  result.struct_size = sizeof result;
  outputs.displacement_bytes = 3 * voxels(&fixed) * sizeof(float);
  outputs.displacement_mm = malloc(outputs.displacement_bytes);
  if (mmreg_context_create(&host, &context) < 0) stop("context");
  if (mmreg_session_create(context, &options, &session) < 0) stop("session");
  if (mmreg_session_set_fixed(session, &fixed) < 0) stop("fixed");
  if (mmreg_session_register(session, &moving, NULL, &outputs, &result) < 0) stop("register");
  mmreg_session_destroy(&session);
  mmreg_context_destroy(&context);

  file = fopen(words[3], "wb");
  if (!file || fwrite(outputs.displacement_mm, 1, outputs.displacement_bytes, file) != outputs.displacement_bytes ||
      fclose(file) != 0)
    stop(words[3]);
  free(outputs.displacement_mm);
  free((void*)fixed.data);
  free((void*)moving.data);
  return 0;
}
