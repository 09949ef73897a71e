"""Rows of warping, resampling and displacements."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from benchmarks.kernels.case import (
    Builder,
    Case,
    Floats,
    Library,
    Maker,
    Shape,
    case,
    needing,
    random_image,
    worst,
)
from mmreg_rt import _native

ROUGHNESS = ("near zero", "smooth", "rough")
STEPS = 7


def displacement(shape: Shape, roughness: str) -> Floats:
    """Return a displacement by roughness.

    Near zero: at most 0.01 voxel; smooth: 95th percentile of |du/dx| 0.05; rough: 0.5.
    """
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(3, *(max(n // 8, 2) for n in shape)))
    coarse = ndimage.gaussian_filter(noise, (0, 1.5, 1.5, 1.5))
    u = np.stack([ndimage.zoom(c, np.divide(shape, c.shape), order=3) for c in coarse]).astype(np.float32)
    if roughness == "near zero":
        return u * np.float32(0.01 / np.abs(u).max())
    if roughness == "rough":
        u += (
            ndimage.gaussian_filter(rng.normal(size=u.shape), (0, 1, 1, 1)).astype(np.float32)
            * np.abs(u).max()
        )
    slope = np.percentile(np.abs(np.diff(u, axis=3)), 95)
    return u * np.float32((0.5 if roughness == "rough" else 0.05) / slope)


def torch_grid_sample(moving: Floats, u: Floats) -> Library:
    """Warp from a displacement, as `warp` does: computing the normalised grid is part of the work."""
    import torch

    shape = u.shape[1:]
    size = torch.tensor(shape[::-1], dtype=torch.float32)
    image, field = torch.from_numpy(moving)[None], torch.from_numpy(u)
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]

    def run() -> object:
        point = torch.stack(torch.meshgrid(*axes, indexing="ij")) + field
        grid = point.flip(0).movedim(0, -1) * (2 / (size - 1)) - 1
        return torch.nn.functional.grid_sample(image, grid[None], align_corners=True)[0].numpy()

    return run


def scipy_warp(moving: Floats, u: Floats, order: int, mode: str) -> Library:
    points = np.indices(u.shape[1:], dtype=np.float32)

    def run() -> object:
        where = points + u
        return np.stack(
            [ndimage.map_coordinates(c, where, order=order, mode=mode, prefilter=False) for c in moving]
        )

    return run


def simpleitk_warp(moving: Floats, u: Floats) -> Library:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(moving[0])
    field = sitk.GetImageFromArray(np.moveaxis(u[::-1], 0, -1).astype(np.float64), isVector=True)
    transform = sitk.DisplacementFieldTransform(field)
    return lambda: sitk.GetArrayViewFromImage(sitk.Resample(image, transform, sitk.sitkLinear, 0.0))


def answer(
    library: Library, allowed: float, inner: tuple[slice, ...] = ()
) -> Callable[[object], tuple[float, float]]:
    expected = library()
    return lambda found: (worst(found, expected, inner), allowed)


def warp_case(channels: int, roughness: str) -> Builder:
    def build(shape: Shape) -> Case:
        moving, u = random_image(shape, channels), displacement(shape, roughness)
        out = np.empty((channels, *shape), np.float32)
        scipy = scipy_warp(moving, u, 1, "grid-constant")
        libraries: dict[str, Maker] = {"torch": lambda: torch_grid_sample(moving, u), "scipy": lambda: scipy}
        if channels == 1:
            libraries["SimpleITK"] = lambda: simpleitk_warp(moving, u)
        # single-precision positions of up to 224, times differences of up to 1 per axis
        check = answer(scipy, 2e-4)
        return Case(
            run=lambda target, threads: _native.warp(moving, u, out=out, threads=threads, target=target),
            voxels=u[0].size,
            bytes=4 * u[0].size * (3 + 2 * channels),
            check=check,
            libraries=libraries,
        )

    return build


for _roughness in ROUGHNESS:
    case(f"warp/{_roughness}")(warp_case(1, _roughness))
case("warp/3 channels, smooth")(warp_case(3, "smooth"))


@case("warp_half/smooth")
def warp_half(shape: Shape) -> Case:
    moving, u = random_image(shape).astype(np.float16), displacement(shape, "smooth")
    out = np.empty((1, *shape), np.float16)

    def torch_half() -> Library:
        wide = torch_grid_sample(moving.astype(np.float32), u)
        return lambda: np.asarray(wide()).astype(np.float16)

    return Case(
        run=lambda target, threads: _native.warp(moving, u, out=out, threads=threads, target=target),
        voxels=u[0].size,
        bytes=16 * u[0].size,
        # a half below 1, and positions as above
        check=answer(scipy_warp(moving.astype(np.float32), u, 1, "grid-constant"), 2e-3),
        libraries={"torch": torch_half},
    )


@case("warp/cubic, smooth")
def warp_cubic(shape: Shape) -> Case:
    moving, u = _native.prefilter(random_image(shape)), displacement(shape, "smooth")
    out = np.empty((1, *shape), np.float32)
    library = scipy_warp(moving, u, 3, "mirror")
    inner = tuple(
        slice(int(np.abs(c).max()) + 1, -int(np.abs(c).max()) - 1) for c in u
    )  # scipy mirrors at the border
    return Case(
        run=lambda target, threads: _native.warp(moving, u, "cubic", out=out, threads=threads, target=target),
        voxels=u[0].size,
        bytes=20 * u[0].size,
        check=answer(library, 2e-3, inner),
        libraries={"scipy": lambda: library},
    )  # coefficients reach 10 on noise


@case("warp_labels/smooth")
def warp_labels(shape: Shape) -> Case:
    labels = np.random.default_rng(3).integers(0, 100, shape).astype(np.int32)
    u = displacement(shape, "smooth")
    points = np.indices(shape, dtype=np.float32)

    def scipy_labels() -> object:
        return ndimage.map_coordinates(labels, points + u, order=0, mode="grid-constant")

    expected = scipy_labels()
    return Case(
        run=lambda target, threads: _native.warp_labels(labels, u, threads=threads, target=target),
        voxels=labels.size,
        bytes=20 * labels.size,
        check=lambda found: (float(np.mean(found != expected)), 1e-4),  # ties round differently
        libraries={"scipy": lambda: scipy_labels},
    )


@case("prefilter")
def prefilter(shape: Shape) -> Case:
    image = random_image(shape)

    def scipy_prefilter() -> object:
        return ndimage.spline_filter(image[0], 3, output=np.float32, mode="mirror")[None]

    return Case(
        run=lambda target, threads: _native.prefilter(image, threads=threads, target=target),
        voxels=image.size,
        bytes=8 * image.size,
        check=answer(scipy_prefilter, 1e-4),
        libraries={"scipy": lambda: scipy_prefilter},
    )


def affine_case(index_map: Floats) -> Builder:
    def build(shape: Shape) -> Case:
        moving, out = random_image(shape), np.empty((1, *shape), np.float32)
        linear, offset = index_map[:, :3], index_map[:, 3]

        def scipy_affine() -> object:
            return ndimage.affine_transform(moving[0], linear, offset, order=1, mode="grid-constant")[None]

        def torch_affine() -> object:
            import torch

            half = (np.array(shape) - 1) / 2
            normalised = np.column_stack(
                [
                    linear * half / half[:, None],
                    (linear @ half + offset - half) / half,
                ]
            )[::-1]
            theta = torch.from_numpy(np.ascontiguousarray(normalised[:, [2, 1, 0, 3]], np.float32))[None]
            grid = torch.nn.functional.affine_grid(theta, (1, 1, *shape), align_corners=True)
            return torch.nn.functional.grid_sample(torch.from_numpy(moving)[None], grid, align_corners=True)[
                0
            ].numpy()

        return Case(
            run=lambda target, threads: _native.resample_affine(
                moving, index_map, shape, out=out, threads=threads, target=target
            ),
            voxels=out.size,
            bytes=8 * out.size,
            check=answer(scipy_affine, 2e-4),
            libraries={"scipy": lambda: scipy_affine, "torch": needing("torch", torch_affine)},
        )

    return build


def rotation(degrees: float) -> Floats:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0, 0.5], [0, c, -s, 12], [0, s, c, -9]]) @ np.diag([1.02, 0.97, 1.01, 1])


case("resample_affine/10 degrees")(affine_case(rotation(10)))
case("resample_affine/scale and offset")(affine_case(rotation(0)))


@case("compose/smooth")
def compose(shape: Shape) -> Case:
    u = displacement(shape, "smooth")

    def torch_compose() -> Library:
        warp = torch_grid_sample(u, u)
        return lambda: u + warp()

    expected = u + scipy_warp(u, u, 1, "nearest")()
    return Case(
        run=lambda target, threads: _native.compose(u, u, threads=threads, target=target),
        voxels=u[0].size,
        bytes=36 * u[0].size,
        check=lambda found: (worst(found, expected), 1e-3),
        libraries={"torch": torch_compose},
    )


def torch_exponential(velocity: Floats) -> Library:
    def run() -> object:
        u = velocity / 2**STEPS
        for _ in range(STEPS):
            u = u + torch_grid_sample(u, u)()
        return u

    return run


@case("integrate/7 steps")
def integrate(shape: Shape) -> Case:
    velocity = displacement(shape, "smooth")
    expected = velocity / 2.0**STEPS
    for _ in range(STEPS):
        expected = expected + scipy_warp(expected, expected, 1, "nearest")()
    return Case(
        run=lambda target, threads: _native.integrate(velocity, STEPS, threads=threads, target=target),
        voxels=velocity[0].size,
        bytes=STEPS * 24 * velocity[0].size,
        check=lambda found: (worst(found, expected), 1e-2),
        libraries={"torch": needing("torch", torch_exponential(velocity))},
    )


@case("invert/smooth")
def invert(shape: Shape) -> Case:
    u = _native.integrate(displacement(shape, "smooth"))

    def residual(found: object) -> tuple[float, float]:
        return worst(_native.compose(found[0], u), 0), 2e-3

    return Case(
        run=lambda target, threads: _native.invert(u, threads=threads, target=target),
        voxels=u[0].size,
        bytes=24 * u[0].size,
        check=residual,
    )


def numpy_determinant(u: Floats) -> Library:
    """Compute the determinant with nine gradients and the rule of Sarrus: the fastest library version."""

    def run() -> object:
        (a, b, c), (d, e, f), (g, h, i) = [np.gradient(component) for component in u]
        a, e, i = a + 1, e + 1, i + 1
        return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)

    return run


@case("jacobian")
def jacobian(shape: Shape) -> Case:
    u, out = displacement(shape, "smooth"), np.empty(shape, np.float32)
    library = numpy_determinant(u)
    return Case(
        run=lambda target, threads: _native.jacobian(u, out=out, threads=threads, target=target),
        voxels=out.size,
        bytes=16 * out.size,
        check=answer(library, 1e-4),
        libraries={"numpy": lambda: library},
    )


@case("folding")
def folding(shape: Shape) -> Case:
    u = displacement(shape, "rough")
    central = numpy_determinant(u)()
    count = int((central <= 0).sum())

    def check(found: object) -> tuple[float, float]:
        return abs(found["count"][0] - count) / max(
            count, 1
        ), 1e-3  # determinants near 0 may round either way

    return Case(
        run=lambda target, threads: _native.folding(u, threads=threads, target=target),
        voxels=u[0].size,
        bytes=12 * u[0].size,
        check=check,
    )


@case("max_displacement")
def max_displacement(shape: Shape) -> Case:
    u = displacement(shape, "smooth")

    def numpy_reach() -> object:
        return {"longest": np.sqrt(np.einsum("c...,c...->...", u, u).max()), "finite": np.isfinite(u).all()}

    expected = numpy_reach()["longest"]
    return Case(
        run=lambda target, threads: _native.max_displacement(u, threads=threads, target=target),
        voxels=u[0].size,
        bytes=12 * u[0].size,
        check=lambda found: (abs(found["longest"] - expected), 1e-4),
        libraries={"numpy": lambda: numpy_reach},
    )


@case("summary")
def summary(shape: Shape) -> Case:
    values = random_image(shape)

    def numpy_summary() -> object:
        return values.sum(dtype=np.float64), values.min(), values.max()

    expected = numpy_summary()[0] / values.size
    return Case(
        run=lambda target, threads: _native.summary(values, threads=threads, target=target),
        voxels=values.size,
        bytes=4 * values.size,
        check=lambda found: (abs(found["mean"] - expected), 1e-9),
        libraries={"numpy": lambda: numpy_summary},
    )
