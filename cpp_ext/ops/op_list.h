// The list of native operations, which are all that the solver and the pipeline need from a processor. Define
// MMREG_OPERATION(result, name, (parameters)) before including this file, which undefines it at the end. The table
// (operations.h), the functions of each target (target_operations.h), the filled tables (target_table.h) and the calls
// (context.h) are generated from this list.
//
// Rules for every operation
// - Images are float32 with planar channels, (channels, d, h, w) in C order. Displacements are (3, d, h, w), in voxels
//   of their own grid, components ordered like the axes. Features are Half, channel-last, (d, h, w, channels), channels
//   a multiple of 16, unused ones zero.
// - An image is a view (core/types.h), which carries its extent (`gaussian`), and so is a displacement if another grid
//   takes part (`warp`). Plain pointers are: outputs; arrays on the grid of a view; two images, a displacement or costs
//   on one grid, followed by its Extent (`local_ncc`, `jacobian`); and, followed by a count, values whose neighbours do
//   not matter (`axpby`, `percentiles`).
// - A displacement u maps a point p of its grid to p + u(p): warping is a pull-back.
// - Images, fields, features, masks, samples and gains are in the table's memory; outputs must not overlap inputs
//   unless the comment allows it. Small parameters and results are in host memory: maps, radii, fractions, and the
//   results of joint_histogram, percentiles and similarity_gradient (its histogram and sums).
// - Results are bit-identical for any number of threads: the size of a piece of work does not depend on the threads,
//   and partial sums are added in the order of the pieces.
// - Scratch memory belongs to the queue: it grows on first use and is reused afterwards.
// - An extent of 1 along any axis is valid input.
// - NaN and infinity always propagate, on every processor: a voxel that is not finite makes every output that uses it
//   non-finite, unless the operation states that it skips such voxels. Running sums may spread it further along the
//   axis.
// - A weight of 0 leaves a voxel out, whatever its value, in linear and nearest warps and resampling, in
//   `warp_grad_image`, and in samples at points. Elsewhere 0 times NaN is NaN: in `compose`, in filters, and in
//   `jacobian` along an axis of 1.
MMREG_OPERATION(void*, allocate, (Queue&, std::size_t bytes))
MMREG_OPERATION(void, release, (Queue&, void* memory))
MMREG_OPERATION(void, trim, (Queue&))  // frees cached memory
MMREG_OPERATION(void, upload, (Queue&, void* to, const void* from, std::size_t bytes))
MMREG_OPERATION(void, download, (Queue&, void* to, const void* from, std::size_t bytes))  // waits for the queue

// Sampling. An image fades into the outside value within one voxel outside the box of its voxel centres
// (Border::zero: into 0); Border::extend gives the value at the nearest point of the box. A point that is not finite
// gives NaN (label 0). A voxel that is not finite gives NaN or infinity exactly where it has a weight in linear
// interpolation or is the nearest voxel (core/sampling.h). warped(p) = moving(p + u(p)) on the grid of u. For cubic
// interpolation, `moving` holds coefficients from `prefilter`, which requires finite voxels. `valid`, if not null, is 1
// where p + u(p) lies within half a voxel of the moving box, else 0.
MMREG_OPERATION(void, warp,
                (Queue&, Image moving, Displacement u, Interpolation, const Outside&, float* warped,
                 std::uint8_t* valid))
// `warp` for an image in half precision: points and sums in float32, the result rounded to the nearest half, ties to
// even. A mean of halves stays within their range, so that no finite value overflows.
MMREG_OPERATION(void, warp_half,
                (Queue&, ImageView<const Half> moving, Displacement u, Interpolation, const Outside&, Half* warped,
                 std::uint8_t* valid))
MMREG_OPERATION(void, warp_labels, (Queue&, ImageView<const std::int32_t> moving, Displacement u, std::int32_t* warped))
// Gradients of the linear warp, for training: the derivatives of the sum over channels of upstream (channels, n) times
// warped with respect to u (3, n) and to moving (channels, m), whose extent is that of `gradient`. In the latter, an
// upstream value that is not finite reaches each voxel in which it has a weight; infinities of both signs give NaN. The
// gradient of points that are not finite, or outside, is 0.
MMREG_OPERATION(void, warp_grad_displacement,
                (Queue&, Image moving, Displacement u, Border, const float* upstream, float* gradient))
MMREG_OPERATION(void, warp_grad_image,
                (Queue&, const float* upstream, Displacement u, Border, ImageView<float> gradient))
// out(i) = moving(A i + b) on grid n. map is [A b], 3 x 4 row-major, from output to moving indices (axes 0, 1, 2).
MMREG_OPERATION(void, resample_affine,
                (Queue&, Image moving, const double* map, Extent n, Interpolation, const Outside&, float* out,
                 std::uint8_t* valid))
// Cubic B-spline coefficients; may be in place. The recursions carry a voxel that is not finite along whole lines.
MMREG_OPERATION(void, prefilter, (Queue&, Image, float* coefficients))

// Displacements. Sampled linearly with Border::extend.
// out(p) = first(p) + second(p + first(p)): the map of `first` followed by that of `second`, all on grid n. A cascade
// composes its residual, as `first`, with its previous result. out must not overlap either.
MMREG_OPERATION(void, compose, (Queue&, const float* first, const float* second, Extent n, float* out))
// The flow of a stationary velocity for unit time: velocity / 2^steps composed with itself `steps` times. Not in place.
MMREG_OPERATION(void, integrate, (Queue&, const float* velocity, Extent n, int steps, float* u))
// Solves v(p) + u(p + v(p)) = 0 to `tolerance` voxels, in at most `iterations` steps per voxel. v is NaN where u(p) is
// not finite; then both residuals are NaN, too.
MMREG_OPERATION(Inversion, invert, (Queue&, const float* u, Extent n, int iterations, float tolerance, float* v))
MMREG_OPERATION(void, jacobian, (Queue&, const float* u, Extent n, float* determinant))
MMREG_OPERATION(Folding, folding, (Queue&, const float* u, Extent n))
MMREG_OPERATION(MaxDisplacement, max_displacement, (Queue&, const float* u, Extent n))

// out(i) = linear u(i) + map (i, 1), also in place; linear 3 x 3 and map 3 x 4, row-major. Changes the frame of a
// displacement, or adds an affine map to it.
MMREG_OPERATION(void, add_affine,
                (Queue&, const float* u, Extent n, const double* linear, const double* map, float* out))
MMREG_OPERATION(void, lengths, (Queue&, const float* u, Extent n, float* out))  // |u|, (d, h, w)
MMREG_OPERATION(void, fill, (Queue&, std::int64_t count, float value, float* out))
// out = a x + b y, also in place.
MMREG_OPERATION(void, axpby, (Queue&, std::int64_t count, float a, const float* x, float b, const float* y, float* out))
// multiply: field(c, i) * weight(i); divide: field(c, i) / weight(i); where: mask ? inside : outside. Also in place.
MMREG_OPERATION(void, multiply, (Queue&, Image field, const float* weight, float* out))
MMREG_OPERATION(void, divide, (Queue&, Image field, const float* weight, float* out))
MMREG_OPERATION(void, where,
                (Queue&, const std::uint8_t* mask, std::int64_t count, const float* inside, const float* outside,
                 float* out))
MMREG_OPERATION(Summary, summary, (Queue&, const float* values, std::int64_t count))
// Maps intensities to [0, 1], a constant image to 0. Voxels that are not finite become 0 and are counted in `extremes`,
// which is in the table's memory. Does not wait for the queue.
MMREG_OPERATION(void, normalise,
                (Queue&, const float* image, std::int64_t count, const Normalisation&, float* out, Extremes* extremes))

// Filters and features. The image is extended by its border value; voxels must be finite, see above. radius, factor and
// sigma_vox are per axis. gaussian: truncated at ceil(4 sigma); box: mean of 2 radius + 1 voxels; both also in place.
MMREG_OPERATION(void, gaussian, (Queue&, Image, const float sigma_vox[3], float* out))
MMREG_OPERATION(void, box, (Queue&, Image, const int radius[3], float* out))
// Means of blocks of `factor` voxels; the extent is n / factor, rounded up. A block at the border may be smaller.
MMREG_OPERATION(void, pool, (Queue&, Image, const int factor[3], float* out))
MMREG_OPERATION(void, pool_features, (Queue&, FeatureImage, const int factor[3], Half* out))
// MIND-SSC with patches of 2 radius + 1 voxels: (12, d, h, w), or Half (d, h, w, 16) with the last 4 channels zero.
MMREG_OPERATION(void, mind, (Queue&, Image, int radius, int dilation, float* features))
MMREG_OPERATION(void, mind_half, (Queue&, Image, int radius, int dilation, Half* features))

// Dense search on a coarse grid. cost[cell][k], for each of the K = product of (2 radius + 1) displacements, z slowest:
// the mean over the first `used` channels of the squared difference of fixed(cell) and moving(cell + displacement).
// `moving` has the extent and channels of `fixed`.
MMREG_OPERATION(void, cost_volume,
                (Queue&, FeatureImage fixed, const Half* moving, int used, const int radius[3], float* cost))
MMREG_OPERATION(void, cost_volume_half,
                (Queue&, FeatureImage fixed, const Half* moving, int used, const int radius[3], Half* cost))
// Mean over the (2 radius + 1)^3 neighbouring cells, for each of the `count` displacements; also in place.
MMREG_OPERATION(void, smooth_cost, (Queue&, const float* cost, Extent n, int count, int radius, float* out))
MMREG_OPERATION(void, smooth_cost_half, (Queue&, const Half* cost, Extent n, int count, int radius, Half* out))
// out(cell) = the displacement that minimises cost + weight |displacement - u(cell)|^2; of equal ones the centre, then
// the first. A cost of NaN is skipped; the result is the centre if no cost is finite. out may be u.
MMREG_OPERATION(void, coupled_convex,
                (Queue&, const float* cost, const float* u, Extent n, const int radius[3], float weight, float* out))
MMREG_OPERATION(void, coupled_convex_half,
                (Queue&, const Half* cost, const float* u, Extent n, const int radius[3], float weight, float* out))

// Similarity. Returns the mean over all voxels of the squared correlation in windows of 2 radius + 1 voxels; `map`, its
// values, may be nullptr. Both are NaN if a voxel of either image is not finite.
MMREG_OPERATION(double, local_ncc, (Queue&, const float* fixed, const float* moving, Extent n, int radius, float* map))
// Counts, (fixed bins, moving bins). Skips voxels that are not finite in either image or outside `mask` (may be null).
MMREG_OPERATION(void, joint_histogram,
                (Queue&, const float* fixed, const float* moving, const std::uint8_t* mask, std::int64_t count,
                 Binning fixed_bins, Binning moving_bins, Parzen parzen, double* histogram))
// values[i]: the percentile for fractions[i] (in [0, 1], at most 16) of the finite voxels inside the mask, interpolated
// between voxels. Returns the number of these voxels; `values` is unchanged if it is 0.
MMREG_OPERATION(std::int64_t, percentiles,
                (Queue&, const float* image, const std::uint8_t* mask, std::int64_t count, const double* fractions,
                 int fraction_count, float* values))

// Alignment of two scans by samples of the fixed scan.
// Applies the map to the means of blocks of `factor` voxels, centred in the image, after clamping the voxels to the
// range of the map. Skips voxels that are not finite and voxels where `mask` (may be null) is 0; NaN where they are the
// majority. `out` has n / factor voxels along each axis, rounded down; factors from 1 to min(n, 256).
MMREG_OPERATION(void, pool_mapped,
                (Queue&, Image, const std::uint8_t* mask, Extent factor, const IntensityMap& map, float* out))
// Trilinear values at `points` (3, count), in voxels. NaN half a voxel or more beyond the outermost centres, where a
// voxel that is not finite has a weight, and where the nearest voxel of `mask` (may be null) is 0.
MMREG_OPERATION(void, sample_points,
                (Queue&, Image, const std::uint8_t* mask, const float* points, std::int64_t count, float* values))
// histograms[k][f][m]: the joint histogram of the fixed samples, by nearest bin, and the moving image under maps[k], in
// [0, 1] or NaN, by a cubic B-spline window. The weight of a sample is its cover (core/covered_sample.h). Skips samples
// whose value or position is not finite, and samples in which a voxel that is not finite has a weight.
// 8 <= bins <= 64. `maps` is host memory.
MMREG_OPERATION(void, sample_histogram,
                (Queue&, const SampleList& fixed, Image moving, const IndexMap* maps, int count, int bins,
                 float* histograms))
// The derivative of a function of one such histogram with respect to the twelve numbers of the map; `gain` is its
// derivative with respect to each bin. Skips the same samples.
MMREG_OPERATION(void, sample_gradient,
                (Queue&, const SampleList& fixed, Image moving, const IndexMap& map, int bins, const float* gain,
                 double* gradient))

// features(i, c) = planes(c, i), and 0 for further channels. `channels` is at least the number of planes.
MMREG_OPERATION(void, interleave, (Queue&, Image planes, int channels, Half* features))
// Writes the last four channels of a feature image: `image` in histogram bins (image * scale + offset, clamped inside
// the padding; NaN is preserved), `valid` (0 or 1; nullptr: 1 everywhere), 0, 0.
MMREG_OPERATION(void, append_intensity_channels,
                (Queue&, Image, const std::uint8_t* valid, float scale, float offset, int channels, Half* features))
// Skips voxels with a feature, intensity, validity or displacement that is not finite: no gradient, no count.
MMREG_OPERATION(void, similarity_gradient, (Queue&, const SimilarityGradientArguments&))
MMREG_OPERATION(void, adam_step, (Queue&, const AdamStepArguments&))

// Image statistics and fold removal for the deformable solver.
// flags = values > threshold where mask is not 0, else 0. mask may be null, or flags itself.
MMREG_OPERATION(void, threshold,
                (Queue&, const float* values, const std::uint8_t* mask, std::int64_t count, float threshold,
                 std::uint8_t* flags))
MMREG_OPERATION(Detail, detail, (Queue&, Image, const Foreground&))  // skips NaN and its neighbours
// Over the 3 x 3 x 3 neighbourhood of each voxel, with the image extended by its border value and axes of 1 and 2
// ignored: noise is |second difference along all axes|, scaled to the standard deviation of white noise; contrast is
// the standard deviation. Both are 0 if every extent is below 3.
MMREG_OPERATION(void, texture, (Queue&, Image, float* noise, float* contrast))
// rows (d * h, 2): the range [first, end) of voxels in each row that lie in the foreground of either image, or within
// `margin` voxels of it. NaN is background.
MMREG_OPERATION(void, active_rows,
                (Queue&, const float* fixed, float fixed_background, const float* moving, float moving_background,
                 Extent n, int margin, std::int32_t* rows))
// Smooths u, in at most `rounds` rounds, only where one of the nine determinants of `folding` is below `floor` or NaN.
// Returns the number of voxels that remain below.
MMREG_OPERATION(std::int64_t, remove_folds, (Queue&, float* u, Extent n, float floor, int rounds))
// count, in the table's memory: the number of voxels that remove_folds would smooth first. Does not wait for the queue.
MMREG_OPERATION(void, count_folds, (Queue&, const float* u, Extent n, float floor, std::int64_t* count))

#undef MMREG_OPERATION
