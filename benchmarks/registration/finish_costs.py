"""Times of the parts of a registration's last stage, compared with the estimates of ``pipeline/costs.cpp``.

The ratios of ``costs.cpp`` hold if each column is close to 1, and above it rather than below. Processor time
on one thread, which hardly depends on other load. Run it as
``python -m benchmarks.registration.finish_costs``.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from mmreg_rt import Registrar, Volume
from mmreg_rt.geometry import Grid

SIZES = ((1, 128, 128), (1, 512, 512), (64, 64, 64), (96, 112, 112), (128, 128, 112))
PARTS = ("render", "inverse", "figures", "handing out")
REPEATS, HOUR_MS = 3, 3.6e6


def pair(shape: tuple[int, int, int]) -> tuple[Volume, Volume]:
    """Return a ball in noise, and the same slightly shifted."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else [0.0] for n in shape), indexing="ij")
    rng, grid = np.random.default_rng(0), Grid(shape, np.diag([1.0, 1.0, 1.0, 1.0]))
    scans = []
    for shift in (0.0, 0.05):
        radius = np.sqrt(axes[0] ** 2 + axes[1] ** 2 + (axes[2] - shift) ** 2)
        image = np.clip(5 * (0.7 - radius), 0, 1) + 0.3 * np.cos(9 * radius) + 0.02 * rng.normal(size=shape)
        scans.append(Volume(image.astype(np.float32), grid))
    return scans[0], scans[1]


def expected_to_taken(scans: tuple[Volume, Volume]) -> dict[str, tuple[float, float]]:
    """Return expected and measured seconds of each part of one registration."""
    began: list[float] = []

    def progress(stage: str, _: float) -> None:
        if stage == "finish":
            began.append(time.process_time())

    registrar = Registrar(align="rigid", threads=1, progress=progress)
    registrar._clock = time.process_time
    finish = registrar.register(*scans, deadline_ms=HOUR_MS).settings["finish"]
    parts = finish["taken_s"]
    taken = {**parts, "handing out": time.process_time() - began[-1] - sum(parts.values())}
    return {part: (finish["expected_s"][part], taken[part]) for part in PARTS}


def main() -> None:
    """Print a table."""
    print("voxels   " + "".join(f"{part + ' ms':>18}  expected" for part in PARTS))
    for shape in SIZES:
        scans = pair(shape)
        runs = [expected_to_taken(scans) for _ in range(REPEATS)]
        row = f"{scans[0].grid.size:9d}"
        for part in PARTS:
            expected, taken = (median(run[part][k] for run in runs) for k in (0, 1))
            row += f"{1e3 * taken:18.2f} {expected / taken:8.2f}x"
        print(row)


if __name__ == "__main__":
    main()
