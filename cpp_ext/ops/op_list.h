// The list of native operations: everything that the solver and the pipeline need from a processor. Include it with
// MMREG_OPERATION(result, name, (parameters)) defined; the macro is undefined at the end. This is the one place where
// an operation is declared: the table (operations.h), the functions of each target (target_operations.h), the filling
// of each table (target_table.h) and the calls (context.h) are generated from it.
//
// Rules for every operation
// - Images are float32, planar channels, (channels, d, h, w) C-order. Displacements are (3, d, h, w), in
//   voxels of their own grid, components ordered like the axes. Features are Half, channel-last,
//   (d, h, w, channels), channels a multiple of 16, unused ones zero.
// - An image is a view (core/types.h), which brings its grid along (`gaussian`), and so is a displacement if another
//   grid takes part (`warp`). Pointers are: outputs; what lies on the grid of a view; two images, a displacement or
//   costs on one grid, followed by its Extent (`local_ncc`, `jacobian`); and, followed by a count, values whose
//   neighbours do not matter (`axpby`, `percentiles`).
// - A displacement u maps a point of its grid to p + u(p): warping is a pull-back.
// - Pointers to images, fields, features, masks, samples and gains belong to the table's memory; outputs never overlap
//   inputs unless the comment says so. Small parameters and results are in host memory: maps, radii, fractions, and the
//   results of joint_histogram, percentiles and similarity_gradient (its histogram and sums).
// - Results are bit-identical for any number of threads: work is cut into pieces whose size does not
//   depend on the threads, and partial sums are added in the order of the pieces.
// - Scratch memory belongs to the queue: it grows on first use and is reused afterwards.
// - Extents of 1 along any axis are ordinary input.
// - NaN and infinity always propagate, on every processor: a voxel that is not finite makes every output that uses it
//   non-finite, unless the operation says that it leaves such voxels out. Running sums may spread it further along the
//   axis.
// - A weight of 0 leaves a voxel out, whatever its value, in linear and nearest warps and resampling, in
//   `warp_grad_image`, and in samples at points. Elsewhere 0 times NaN is NaN: in `compose`, in filters, and in
//   `jacobian` along an axis of 1.
MMREG_OPERATION(void*, allocate, (Queue&, std::size_t bytes))
MMREG_OPERATION(void, release, (Queue&, void* memory))
MMREG_OPERATION(void, trim, (Queue&))  // frees released memory that is kept for later allocations
MMREG_OPERATION(void, upload, (Queue&, void* to, const void* from, std::size_t bytes))
MMREG_OPERATION(void, download, (Queue&, void* to, const void* from, std::size_t bytes))  // waits for the queue

// Sampling. An image fades into the outside value within one voxel outside the box of its voxel centres
// (Border::zero: into 0); Border::extend gives the value at the nearest point of the box. A point that is not finite
// gives NaN (label 0); a voxel that is not finite gives NaN or infinity where it weighs something by linear
// interpolation or is the nearest, and nowhere else (core/sampling.h). warped(p) = moving(p + u(p)) on u's grid n.
// For cubic, `moving` holds coefficients made by `prefilter`, of finite voxels. `valid`, if not null, gets 1 where p
// + u(p) lies within half a voxel of the moving box, else 0.
MMREG_OPERATION(void, warp,
                (Queue&, Image moving, Displacement u, Interpolation, const Outside&, float* warped,
                 std::uint8_t* valid))
// `warp` for an image in half precision: points and sums in float32, the result rounded to the nearest half, ties to
// even. Means of halves stay within their range, so nothing finite overflows.
MMREG_OPERATION(void, warp_half,
                (Queue&, ImageView<const Half> moving, Displacement u, Interpolation, const Outside&, Half* warped,
                 std::uint8_t* valid))
MMREG_OPERATION(void, warp_labels, (Queue&, ImageView<const std::int32_t> moving, Displacement u, std::int32_t* warped))
// Derivatives of the linear warp, for training: of the sum over channels of upstream (channels, n) times warped, with
// respect to u (3, n) and to moving (channels, m), on the grid of `gradient`. In the latter a value that is not finite
// comes out at each voxel that it weighs in, NaN where infinities of both signs meet. Points that are not finite, or
// outside, pass nothing back.
MMREG_OPERATION(void, warp_grad_displacement,
                (Queue&, Image moving, Displacement u, Border, const float* upstream, float* gradient))
MMREG_OPERATION(void, warp_grad_image,
                (Queue&, const float* upstream, Displacement u, Border, ImageView<float> gradient))
// out(i) = moving(A i + b) on grid n; map is [A b], 3 x 4, row by row, from output to moving indices (axes 0, 1, 2).
MMREG_OPERATION(void, resample_affine,
                (Queue&, Image moving, const double* map, Extent n, Interpolation, const Outside&, float* out,
                 std::uint8_t* valid))
// May be in place. Its recursions would carry a voxel that is not finite along whole lines.
MMREG_OPERATION(void, prefilter, (Queue&, Image, float* coefficients))

// Displacements. Sampled linearly, Border::extend.
// out(p) = first(p) + second(p + first(p)): the map of `first`, then that of `second`, all on grid n; so a cascade
// composes the residual `first` with its result so far. out may overlap neither.
MMREG_OPERATION(void, compose, (Queue&, const float* first, const float* second, Extent n, float* out))
// The flow of a stationary velocity for unit time: velocity / 2^steps, composed with itself `steps` times. Not in
// place.
MMREG_OPERATION(void, integrate, (Queue&, const float* velocity, Extent n, int steps, float* u))
// v with v(p) + u(p + v(p)) = 0, to `tolerance` voxels where at most `iterations` steps per voxel reach it. v is NaN
// where u(p) is not finite, and then so are both residuals.
MMREG_OPERATION(Inversion, invert, (Queue&, const float* u, Extent n, int iterations, float tolerance, float* v))
MMREG_OPERATION(void, jacobian, (Queue&, const float* u, Extent n, float* determinant))
MMREG_OPERATION(Folding, folding, (Queue&, const float* u, Extent n))
MMREG_OPERATION(MaxDisplacement, max_displacement, (Queue&, const float* u, Extent n))

// out(i) = linear u(i) + map (i, 1), also in place; linear 3 x 3 and map 3 x 4, row by row: changes the frame that a
// displacement is expressed in, or adds an affine map to it.
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
// Maps intensities to [0, 1], all to 0 if the image is constant. Voxels that are not finite become 0 and are counted
// in `extremes`, which belongs to the table's memory. Does not wait for the queue.
MMREG_OPERATION(void, normalise,
                (Queue&, const float* image, std::int64_t count, const Normalisation&, float* out, Extremes* extremes))

// Filters and features. Outside of the image is its border value; voxels must be finite (see above). radius, factor
// and sigma_vox are per axis. gaussian: weights cut at ceil(4 sigma); box: mean of 2 radius + 1; both also in place.
MMREG_OPERATION(void, gaussian, (Queue&, Image, const float sigma_vox[3], float* out))
MMREG_OPERATION(void, box, (Queue&, Image, const int radius[3], float* out))
// Mean of blocks of factor voxels, n / factor rounded up of them; a block at the border takes what exists.
MMREG_OPERATION(void, pool, (Queue&, Image, const int factor[3], float* out))
MMREG_OPERATION(void, pool_features, (Queue&, FeatureImage, const int factor[3], Half* out))
// MIND-SSC with patches of 2 radius + 1; (12, d, h, w), or Half channel-last with 16 channels, the last 4 zero.
MMREG_OPERATION(void, mind, (Queue&, Image, int radius, int dilation, float* features))
MMREG_OPERATION(void, mind_half, (Queue&, Image, int radius, int dilation, Half* features))

// Dense search on a coarse grid. cost[cell][k]: K = product of (2 radius + 1) displacements, z slowest; mean over
// the first `used` channels of the squared difference between fixed(cell) and moving(cell + displacement), which has
// the channels of `fixed`.
MMREG_OPERATION(void, cost_volume,
                (Queue&, FeatureImage fixed, const Half* moving, int used, const int radius[3], float* cost))
MMREG_OPERATION(void, cost_volume_half,
                (Queue&, FeatureImage fixed, const Half* moving, int used, const int radius[3], Half* cost))
// Mean over the (2 radius + 1)^3 neighbouring cells, for each of the `count` displacements; also in place.
MMREG_OPERATION(void, smooth_cost, (Queue&, const float* cost, Extent n, int count, int radius, float* out))
MMREG_OPERATION(void, smooth_cost_half, (Queue&, const Half* cost, Extent n, int count, int radius, Half* out))
// out(cell) = the displacement with the least cost + weight |displacement - u(cell)|^2; in a tie the centre, then
// the first. A cost that is NaN is left out; the centre if no cost is finite. out may be u.
MMREG_OPERATION(void, coupled_convex,
                (Queue&, const float* cost, const float* u, Extent n, const int radius[3], float weight, float* out))
MMREG_OPERATION(void, coupled_convex_half,
                (Queue&, const Half* cost, const float* u, Extent n, const int radius[3], float weight, float* out))

// Similarity. The mean over all voxels of the squared correlation in windows of 2 radius + 1; map may be nullptr.
// Both are NaN if a voxel of either image is not finite.
MMREG_OPERATION(double, local_ncc, (Queue&, const float* fixed, const float* moving, Extent n, int radius, float* map))
// Counts, (fixed bins, moving bins). Voxels with mask 0 are left out, and those that are not finite in either image;
// mask may be nullptr.
MMREG_OPERATION(void, joint_histogram,
                (Queue&, const float* fixed, const float* moving, const std::uint8_t* mask, std::int64_t count,
                 Binning fixed_bins, Binning moving_bins, Parzen parzen, double* histogram))
// values[i]: the percentile for fractions[i] (in [0, 1], at most 16 of them) of the finite voxels inside the mask,
// interpolated between voxels. Returns the number of these voxels and leaves `values` unchanged if it is 0.
MMREG_OPERATION(std::int64_t, percentiles,
                (Queue&, const float* image, const std::uint8_t* mask, std::int64_t count, const double* fractions,
                 int wanted, float* values))

// Alignment of two scans by samples of the fixed one.
// Means of blocks of `factor` voxels, centred in the image, after clamping to the range of the map; the map is then
// applied to each mean. Voxels that are not finite or where `mask` (may be null) is 0 do not count; NaN where they are
// the majority. `out` has n / factor voxels along each axis, rounded down; factors from 1 to min(n, 256).
MMREG_OPERATION(void, pool_mapped,
                (Queue&, Image, const std::uint8_t* mask, Extent factor, const IntensityMap& map, float* out))
// Trilinear values at `points` (3, count), in voxels; NaN from half a voxel beyond the outermost centres on, where a
// voxel that is not finite has a weight, and where the nearest voxel of `mask` (may be null) is 0.
MMREG_OPERATION(void, sample_points,
                (Queue&, Image, const std::uint8_t* mask, const float* points, std::int64_t count, float* values))
// histograms[k][f][m]: fixed samples by nearest bin of their value, the moving image, in [0, 1] or NaN, by a cubic
// B-spline window at maps[k]; a sample weighs as much as it is covered (core/covered_sample.h). Left out are samples
// whose value or place is not finite, and those that a voxel which is not finite has a weight for. 8 <= bins <= 64.
// `maps` is host memory.
MMREG_OPERATION(void, sample_histogram,
                (Queue&, const SampleList& fixed, Image moving, const IndexMap* maps, int count, int bins,
                 float* histograms))
// Derivative of a function of one such histogram with respect to the twelve numbers of the map; `gain` is the
// derivative with respect to each bin. Leaves out the same samples.
MMREG_OPERATION(void, sample_gradient,
                (Queue&, const SampleList& fixed, Image moving, const IndexMap& map, int bins, const float* gain,
                 double* gradient))

// features(i, c) = planes(c, i), 0 where there is no such plane; at least as many `channels` as planes.
MMREG_OPERATION(void, interleave, (Queue&, Image planes, int channels, Half* features))
// Writes the last four channels of a feature image: `image` in histogram bins (image * scale + offset, clamped to the
// padding, but for NaN), `valid` (0 or 1; nullptr: 1 everywhere), 0, 0.
MMREG_OPERATION(void, append_intensity_channels,
                (Queue&, Image, const std::uint8_t* valid, float scale, float offset, int channels, Half* features))
// Voxels with a feature, intensity, validity or displacement that is not finite are left out: no gradient, no count.
MMREG_OPERATION(void, similarity_gradient, (Queue&, const SimilarityGradientArguments&))
MMREG_OPERATION(void, adam_step, (Queue&, const AdamStepArguments&))

// Settings and guarantees of the deformable solver.
// flags = values > threshold, and mask (may be null, or flags itself) is not 0.
MMREG_OPERATION(void, threshold,
                (Queue&, const float* values, const std::uint8_t* mask, std::int64_t count, float threshold,
                 std::uint8_t* flags))
MMREG_OPERATION(Detail, detail, (Queue&, Image, const Foreground&))  // leaves out NaN and its neighbours
// Over the 3 x 3 x 3 neighbours of a voxel, the border value outside of the image and axes of 1 and 2 left out:
// |second difference along all axes|, which in white noise has its standard deviation, and the standard deviation.
// 0 in an image of extent below 3 along every axis.
MMREG_OPERATION(void, texture, (Queue&, Image, float* noise, float* contrast))
// rows (d * h, 2): the first and one past the last voxel of each row that lies in the foreground of either image, or
// within `margin` voxels of it. NaN is background.
MMREG_OPERATION(void, active_rows,
                (Queue&, const float* fixed, float fixed_background, const float* moving, float moving_background,
                 Extent n, int margin, std::int32_t* rows))
// Smooths u where one of the nine determinants of `folding` is below `floor` or NaN, in at most `rounds` rounds, and
// nowhere else; returns how many voxels are still below.
MMREG_OPERATION(std::int64_t, remove_folds, (Queue&, float* u, Extent n, float floor, int rounds))
// count: how many voxels remove_folds would find at first, in the table's memory. Does not wait for the queue.
MMREG_OPERATION(void, count_folds, (Queue&, const float* u, Extent n, float floor, std::int64_t* count))

#undef MMREG_OPERATION
