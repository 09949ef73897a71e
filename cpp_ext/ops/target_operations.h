// What each processor's files give to the table of its target, and the table itself is made of (ops/target_table.h).
// A file is compiled once per target, into the target's namespace.
#pragma once
#include "ops/operations.h"

namespace mmreg::MMREG_TARGET {

Queue* open(int threads);
void* allocate(Queue&, std::size_t bytes);
void release(Queue&, void* memory);
void trim(Queue&);
void upload(Queue&, void* to, const void* from, std::size_t bytes);
void download(Queue&, void* to, const void* from, std::size_t bytes);

void warp(Queue&, const float* moving, int channels, Extent m, const float* u, Extent n, Interpolation, const Outside&,
          float* warped, std::uint8_t* valid);
void warp_half(Queue&, const Half* moving, int channels, Extent m, const float* u, Extent n, Interpolation,
               const Outside&, Half* warped, std::uint8_t* valid);
void warp_labels(Queue&, const std::int32_t* moving, Extent m, const float* u, Extent n, std::int32_t* warped);
void warp_slope(Queue&, const float* moving, int channels, Extent m, const float* u, Extent n, Border,
                const float* upstream, float* gradient);
void warp_adjoint(Queue&, const float* upstream, int channels, const float* u, Extent n, Border, Extent m,
                  float* gradient);
void resample_affine(Queue&, const float* moving, int channels, Extent m, const double* map, Extent n, Interpolation,
                     const Outside&, float* out, std::uint8_t* valid);
void prefilter(Queue&, const float* image, int channels, Extent n, float* coefficients);

void compose(Queue&, const float* first, const float* second, Extent n, float* out);
void integrate(Queue&, const float* velocity, Extent n, int steps, float* u);
Inversion invert(Queue&, const float* u, Extent n, int iterations, float tolerance, float* v);
void jacobian(Queue&, const float* u, Extent n, float* determinant);
Folding folding(Queue&, const float* u, Extent n);
Reach reach(Queue&, const float* u, Extent n);

Summary summary(Queue&, const float* values, std::int64_t count);
void normalise(Queue&, const float* image, std::int64_t count, const Stretch&, float* out, Extremes* extremes);

void gaussian(Queue&, const float* image, int channels, Extent n, const float sigma_vox[3], float* out);
void box(Queue&, const float* image, int channels, Extent n, const int radius[3], float* out);
void pool(Queue&, const float* image, int channels, Extent n, const int factor[3], float* out);
void pool_features(Queue&, const Half* features, int channels, Extent n, const int factor[3], Half* out);
void mind(Queue&, const float* image, Extent n, int radius, int dilation, float* features);
void mind_half(Queue&, const float* image, Extent n, int radius, int dilation, Half* features);

void cost_volume(Queue&, const Half* fixed, const Half* moving, int channels, int used, Extent n, const int radius[3],
                 float* cost);
void cost_volume_half(Queue&, const Half* fixed, const Half* moving, int channels, int used, Extent n,
                      const int radius[3], Half* cost);
void smooth_cost(Queue&, const float* cost, Extent n, int count, int radius, float* out);
void smooth_cost_half(Queue&, const Half* cost, Extent n, int count, int radius, Half* out);
void coupled_convex(Queue&, const float* cost, const float* u, Extent n, const int radius[3], float weight, float* out);
void coupled_convex_half(Queue&, const Half* cost, const float* u, Extent n, const int radius[3], float weight,
                         float* out);

void condense(Queue&, const float* image, const std::uint8_t* mask, Extent n, Extent factor, const Tone& tone,
              float* out);
void sample_points(Queue&, const float* image, const std::uint8_t* mask, Extent n, const float* points,
                   std::int64_t count, float* values);
void sample_histogram(Queue&, const SampleList& fixed, const float* moving, Extent n, const IndexMap* maps, int count,
                      int bins, float* histograms);
void sample_gradient(Queue&, const SampleList& fixed, const float* moving, Extent n, const IndexMap& map, int bins,
                     const float* gain, double* gradient);

double local_ncc(Queue&, const float* fixed, const float* moving, Extent n, int radius, float* map);
void joint_histogram(Queue&, const float* fixed, const float* moving, const std::uint8_t* mask, std::int64_t count,
                     Binning fixed_bins, Binning moving_bins, Parzen parzen, double* histogram);
std::int64_t percentiles(Queue&, const float* image, const std::uint8_t* mask, std::int64_t count,
                         const double* fractions, int wanted, float* values);
void add_affine(Queue&, const float* u, Extent n, const double* linear, const double* map, float* out);
void lengths(Queue&, const float* u, Extent n, float* out);
void fill(Queue&, std::int64_t count, float value, float* out);
void combine(Queue&, std::int64_t count, float a, const float* x, float b, const float* y, float* out);
void multiply(Queue&, const float* field, int channels, std::int64_t count, const float* weight, float* out);
void divide(Queue&, const float* field, int channels, std::int64_t count, const float* weight, float* out);
void select(Queue&, const std::uint8_t* mask, std::int64_t count, const float* inside, const float* outside,
            float* out);
void interleave(Queue&, const float* planes, int wanted, std::int64_t count, int channels, Half* features);
void attach(Queue&, const float* image, const std::uint8_t* valid, Extent n, float scale, float offset, int channels,
            Half* features);
void force(Queue&, const ForceArguments&);
void descent(Queue&, const DescentArguments&);
void above(Queue&, const float* values, const std::uint8_t* mask, std::int64_t count, float threshold,
           std::uint8_t* flags);
Detail detail(Queue&, const float* image, Extent n, const Foreground&);
void texture(Queue&, const float* image, Extent n, float* noise, float* contrast);
void active_rows(Queue&, const float* fixed, float fixed_background, const float* moving, float moving_background,
                 Extent n, int margin, std::int32_t* rows);
std::int64_t unfold(Queue&, float* u, Extent n, float floor, int rounds);
void count_folds(Queue&, const float* u, Extent n, float floor, std::int64_t* count);

}  // namespace mmreg::MMREG_TARGET
