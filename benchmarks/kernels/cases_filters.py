"""Rows of smoothing, features and similarity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import reference.filters
import reference.search
import reference.similarity
from scipy import ndimage

from benchmarks.kernels.case import Builder, Case, Floats, Library, Shape, case, needing, random_image, worst
from mmreg_rt import _native

BINS = 32
UNIT = (0.0, 1.0)


def smooth_image(shape: Shape, seed: int = 1) -> Floats:
    """Return an image in [0, 1] with structure of about 3 voxels and a little noise."""
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.random(shape, np.float32), 1.5)
    image = (image - image.min()) / np.ptp(image) + np.float32(0.02) * rng.random(shape, np.float32)
    return (image / image.max()).astype(np.float32)


def close(expected: object, allowed: float) -> Callable[[object], tuple[float, float]]:
    return lambda found: (worst(found, expected), allowed)


def per_channel(filtered: Callable[[Floats], Floats], image: Floats) -> Library:
    return lambda: np.stack([filtered(channel) for channel in image])


def torch_gaussian(image: Floats, sigma: float) -> Library:
    import torch

    radius = int(np.ceil(4 * sigma))
    weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    weights = weights / weights.sum()
    kernels = [weights.reshape(1, 1, *(-1 if a == axis else 1 for a in range(3))) for axis in range(3)]
    padding = (radius,) * 6

    def run() -> object:
        x = torch.nn.functional.pad(torch.from_numpy(image)[:, None], padding, mode="replicate")
        for kernel in kernels:
            x = torch.nn.functional.conv3d(x, kernel)
        return x[:, 0].numpy()

    return run


def torch_box(image: Floats, radius: int) -> Library:
    import torch

    def run() -> object:
        x = torch.nn.functional.pad(torch.from_numpy(image)[None], (radius,) * 6, mode="replicate")
        return torch.nn.functional.avg_pool3d(x, 2 * radius + 1, stride=1)[0].numpy()

    return run


def simpleitk_gaussian(image: Floats, sigma: float) -> Library:
    import SimpleITK as sitk

    channels = [sitk.GetImageFromArray(c) for c in image]
    return lambda: [sitk.GetArrayViewFromImage(sitk.SmoothingRecursiveGaussian(c, sigma)) for c in channels]


@case("gaussian/sigma 2, 3 channels")
def gaussian(shape: Shape) -> Case:
    image = random_image(shape, 3)
    out = np.empty_like(image)
    scipy = per_channel(lambda c: ndimage.gaussian_filter(c, 2, mode="nearest"), image)
    return Case(
        run=lambda target, threads: _native.gaussian(
            image, (2, 2, 2), out=out, threads=threads, target=target
        ),
        voxels=image[0].size,
        bytes=2 * image.nbytes,
        check=close(scipy(), 2e-6),
        libraries={
            "scipy": lambda: scipy,
            "torch": lambda: torch_gaussian(image, 2),
            "SimpleITK recursive": lambda: simpleitk_gaussian(image, 2),
        },
    )


@case("box/5, 3 channels")
def box(shape: Shape) -> Case:
    image = random_image(shape, 3)
    out = np.empty_like(image)
    scipy = per_channel(lambda c: ndimage.uniform_filter(c, 5, mode="nearest"), image)
    return Case(
        run=lambda target, threads: _native.box(image, (2, 2, 2), out=out, threads=threads, target=target),
        voxels=image[0].size,
        bytes=2 * image.nbytes,
        check=close(scipy(), 5e-6),
        libraries={"scipy": lambda: scipy, "torch": lambda: torch_box(image, 2)},
    )


@case("pool/2, 3 channels")
def pool(shape: Shape) -> Case:
    image = random_image(shape, 3)
    out = np.empty((3, *((n + 1) // 2 for n in shape)), np.float32)

    def torch_pool() -> object:
        import torch

        return torch.nn.functional.avg_pool3d(
            torch.from_numpy(image)[None], 2, ceil_mode=True, count_include_pad=False
        )[0].numpy()

    return Case(
        run=lambda target, threads: _native.pool(image, (2, 2, 2), out=out, threads=threads, target=target),
        voxels=image[0].size,
        bytes=image.nbytes + out.nbytes,
        check=close(reference.filters.pool(image, (2, 2, 2)), 1e-6),
        libraries={"torch": needing("torch", torch_pool)},
    )


def published_mind(image: Floats, radius: int) -> Library:
    import torch
    from convexAdam.convex_adam_utils import MINDSSC

    tensor = torch.from_numpy(image)[None, None]
    return lambda: MINDSSC(tensor, radius, 2, device="cpu")[0].numpy()


def published_or_twin(image: Floats, radius: int) -> object:
    """Return the features of the published program, or of the slow twin of the tests, which takes minutes."""
    try:
        return published_mind(image, radius)()
    except ImportError:
        return reference.filters.mind(image, radius, 2)


def mind_case(radius: int, half: bool) -> Builder:
    def build(shape: Shape) -> Case:
        image = smooth_image(shape)
        expected = published_or_twin(image, radius)
        inner = (slice(None), *3 * (slice(radius, -radius),))  # the published border differs
        out = np.empty((*shape, 16), np.uint16) if half else np.empty((12, *shape), np.float32)
        operation = _native.mind_half if half else _native.mind

        def check(found: object) -> tuple[float, float]:
            planar = np.moveaxis(found.view(np.float16)[..., :12], -1, 0) if half else found
            return worst(planar[inner], expected[inner]), 1e-3 if half else 3e-4

        return Case(
            run=lambda target, threads: operation(image, radius, 2, out=out, threads=threads, target=target),
            voxels=image.size,
            bytes=image.nbytes + out.nbytes,
            check=check,
            libraries={"convexAdam": lambda: published_mind(image, radius)},
        )

    return build


case("mind/r 1, d 2, 12 planar")(mind_case(1, half=False))
case("mind_half/r 1, d 2, 16 last")(mind_case(1, half=True))
case("mind_half/r 2, d 2, 16 last")(mind_case(2, half=True))


def torch_local_ncc(fixed: Floats, moving: Floats, side: int) -> Library:
    """Compute five products in one batch, one separable pass of ones per axis: the fastest form in torch."""
    import torch

    f, g = torch.from_numpy(fixed), torch.from_numpy(moving)
    kernels = [torch.ones(1, 1, *(side if a == axis else 1 for a in range(3))) for axis in range(3)]

    def run() -> object:
        x = torch.stack([f, g, f * f, g * g, f * g])[:, None]
        x = torch.nn.functional.pad(x, (side // 2,) * 6, mode="replicate")
        for kernel in kernels:
            x = torch.nn.functional.conv3d(x, kernel)
        a, b, aa, bb, ab = x[:, 0] / side**3
        variance_f, variance_g = (aa - a * a).clamp(min=0), (bb - b * b).clamp(min=0)
        raised = (variance_f + 1e-4 * f.var()) * (variance_g + 1e-4 * g.var())
        return ((ab - a * b) ** 2 / raised).mean().item()

    return run


@case("local_ncc/window 9, value")
def local_ncc(shape: Shape) -> Case:
    fixed = smooth_image(shape)
    moving = (0.5 * fixed + 0.5 * smooth_image(shape, 2)).astype(np.float32)
    return Case(
        run=lambda target, threads: _native.local_ncc_value(fixed, moving, 4, threads=threads, target=target),
        voxels=fixed.size,
        bytes=2 * fixed.nbytes,
        check=close(reference.similarity.local_ncc(fixed, moving, 4)[0], 1e-4),
        libraries={"torch": lambda: torch_local_ncc(fixed, moving, 9)},
    )


def torch_histogram(fixed: Floats, moving: Floats) -> Library:
    import torch

    f, g = torch.from_numpy(fixed).ravel(), torch.from_numpy(moving).ravel()

    def run() -> object:
        rows = (f * BINS).int().clamp_(0, BINS - 1)
        columns = (g * BINS).int().clamp_(0, BINS - 1)
        return torch.bincount(rows * BINS + columns, minlength=BINS * BINS).reshape(BINS, BINS).numpy()

    return run


def numpy_histogram(fixed: Floats, moving: Floats) -> Library:
    def run() -> object:
        rows = np.minimum((fixed.ravel() * BINS).astype(np.int32), BINS - 1)
        columns = np.minimum((moving.ravel() * BINS).astype(np.int32), BINS - 1)
        return np.bincount(rows * BINS + columns, minlength=BINS * BINS).reshape(BINS, BINS)

    return run


def histogram_case(parzen: bool) -> Builder:
    def build(shape: Shape) -> Case:
        fixed = smooth_image(shape)
        moving = (1 - fixed) ** 2
        counted = numpy_histogram(fixed, moving)
        libraries = {"torch": lambda: torch_histogram(fixed, moving), "numpy": lambda: counted}

        def run(target: str, threads: int) -> object:
            return _native.joint_histogram(
                fixed, moving, None, (BINS, BINS), UNIT, UNIT, parzen, threads=threads, target=target
            )

        def check(found: object) -> tuple[float, float]:
            return abs(found.sum() / fixed.size - 1) if parzen else worst(found, counted()), 1e-6

        # no library computes only the Parzen histogram: SimpleITK's also warps and differentiates
        return Case(
            run=run,
            voxels=fixed.size,
            bytes=2 * fixed.nbytes,
            check=check,
            libraries={} if parzen else libraries,
        )

    return build


case("joint_histogram/32 bins")(histogram_case(parzen=False))
case("joint_histogram/32 bins, cubic Parzen")(histogram_case(parzen=True))


@case("percentiles/1 and 99")
def percentiles(shape: Shape) -> Case:
    image = smooth_image(shape)
    expected = np.quantile(image, [0.01, 0.99])
    return Case(
        run=lambda target, threads: _native.percentiles(
            image, [0.01, 0.99], None, threads=threads, target=target
        ),
        voxels=image.size,
        bytes=image.nbytes,
        check=close(expected, 1e-6),
        libraries={"numpy": lambda: lambda: np.quantile(image, [0.01, 0.99])},
    )


def coarse_features(shape: Shape) -> list[np.ndarray]:
    """Return MIND features of two images, averaged over blocks of 6."""
    images = smooth_image(shape), (1 - smooth_image(shape)) ** 2
    return [_native.pool_features(_native.mind_half(image, 1, 2), (6, 6, 6)) for image in images]


@case("pool_features/6")
def pool_features(shape: Shape) -> Case:
    features = _native.mind_half(smooth_image(shape), 1, 2)
    planar = np.moveaxis(features.view(np.float16)[..., :12], -1, 0).astype(np.float32)

    def torch_pool() -> object:
        import torch

        return torch.nn.functional.avg_pool3d(
            torch.from_numpy(planar)[None], 6, ceil_mode=True, count_include_pad=False
        )[0].numpy()

    expected = reference.filters.pool(planar, (6, 6, 6))

    def check(found: object) -> tuple[float, float]:
        return worst(np.moveaxis(found.view(np.float16)[..., :12], -1, 0), expected), 3e-4

    return Case(
        run=lambda target, threads: _native.pool_features(
            features, (6, 6, 6), threads=threads, target=target
        ),
        voxels=features[..., 0].size,
        bytes=features.nbytes,
        check=check,
        libraries={"torch, planar float": needing("torch", torch_pool)},
    )


@case("cost_volume_half/grid 6, +-4, per cell and displacement")
def cost_volume(shape: Shape) -> Case:
    fixed, moving = coarse_features(shape)
    cells, count, reach = fixed[..., 0].size, 9**3, 4

    def torch_costs() -> object:
        import torch

        f, g = (torch.from_numpy(x.view(np.float16)[..., :12].astype(np.float32)) for x in (fixed, moving))
        padded = torch.nn.functional.pad(g.movedim(-1, 0)[None], (reach,) * 6, mode="replicate")[0].movedim(
            0, -1
        )
        d, h, w = f.shape[:3]
        out = torch.empty(d, h, w, count)
        for k, (z, y, x) in enumerate(np.ndindex(9, 9, 9)):
            out[..., k] = (f - padded[z : z + d, y : y + h, x : x + w]).square_().mean(-1)
        return out.numpy()

    halves = (x.view(np.float16)[..., :12] for x in (fixed, moving))
    expected = reference.search.cost_volume(*halves, 12, (reach,) * 3)
    return Case(
        run=lambda target, threads: _native.cost_volume_half(
            fixed, moving, 12, (reach,) * 3, threads=threads, target=target
        ),
        voxels=cells * count,
        bytes=2 * cells * count,
        check=lambda found: (worst(found.view(np.float16), expected), 3e-4),
        libraries={"torch": needing("torch", torch_costs)},
    )


@case("smooth_cost_half/3, per cell and displacement")
def smooth_cost(shape: Shape) -> Case:
    cost = _native.cost_volume_half(*coarse_features(shape), 12, (4, 4, 4))
    planar = np.ascontiguousarray(np.moveaxis(cost.view(np.float16).astype(np.float32), -1, 0))

    def torch_smooth() -> object:
        import torch

        padded = torch.nn.functional.pad(torch.from_numpy(planar)[None], (1,) * 6, mode="replicate")
        return torch.nn.functional.avg_pool3d(padded, 3, stride=1)[0].numpy()

    expected = reference.search.smooth_cost(cost.view(np.float16), 1)
    return Case(
        run=lambda target, threads: _native.smooth_cost_half(cost, 1, threads=threads, target=target),
        voxels=cost.size,
        bytes=2 * cost.nbytes,
        check=lambda found: (worst(found.view(np.float16), expected), 3e-4),
        libraries={"torch, planar float": needing("torch", torch_smooth)},
    )


@case("coupled_convex_half/per cell and displacement")
def coupled_convex(shape: Shape) -> Case:
    cost = _native.cost_volume_half(*coarse_features(shape), 12, (4, 4, 4))
    u = np.zeros((3, *cost.shape[:3]), np.float32)
    steps = np.stack(np.meshgrid(*3 * (np.arange(-4, 5),), indexing="ij"), -1).reshape(-1, 3)
    penalty = np.float32(0.01) * (steps**2).sum(1).astype(np.float32)

    def torch_choice() -> object:
        import torch

        values = torch.from_numpy(cost.view(np.float16)).float() + torch.from_numpy(penalty)
        return torch.from_numpy(steps)[values.argmin(-1)].numpy()

    best = (cost.view(np.float16).astype(np.float32) + penalty).min(-1)

    def check(found: object) -> tuple[float, float]:
        index = ((np.moveaxis(found, 0, -1) + 4) @ [81, 9, 1]).astype(int)[..., None]
        chosen = np.take_along_axis(cost.view(np.float16), index, -1)[..., 0] + penalty[index[..., 0]]
        return worst(chosen, best), 1e-6

    return Case(
        run=lambda target, threads: _native.coupled_convex_half(
            cost, u, (4, 4, 4), 0.01, threads=threads, target=target
        ),
        voxels=cost.size,
        bytes=cost.nbytes,
        check=check,
        libraries={"torch": needing("torch", torch_choice)},
    )
