"""Write digital heads as registration tasks.

    python -m benchmarks.datasets.prepare_phantoms OUT [--seeds 5]

Unaligned pairs in the layout documented in ``registration/compare.py`` (run it with ``--align affine``).
Their landmarks are voxel centres drawn at random from the whole head, with their exact places in the moving
scan, so that the landmark error is the error of the transform.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import mmreg_rt
from mmreg_rt.phantom import Phantom, phantom

POINTS = 20_000  # the 95th percentile of the error is then known to about 1 %


def landmarks(pair: Phantom) -> tuple[np.ndarray, np.ndarray]:
    """Return fixed points of the head and their moving partners, (N, 3) each, RAS mm."""
    voxels = np.argwhere(pair.head)
    chosen = np.random.default_rng(pair.seed).choice(len(voxels), min(POINTS, len(voxels)), replace=False)
    fixed = pair.fixed.grid.map_indices(voxels[chosen])
    return fixed, pair.truth.map_points(fixed)


def write(pair: Phantom, folder: Path) -> None:
    """Write one task folder, ``meta.json`` last."""
    folder.mkdir(parents=True, exist_ok=True)
    scans = {"fixed": pair.fixed, "moving": pair.moving}
    scans |= {"fixed_seg": pair.fixed_labels, "moving_seg": pair.moving_labels}
    for name, scan in scans.items():
        mmreg_rt.write_image(scan, folder / f"{name}.nii.gz")
    for side, points in zip(("fixed", "moving"), landmarks(pair), strict=True):
        np.savetxt(folder / f"{side}_lm.csv", points, "%.5f", ",")
    (folder / "meta.json").write_text(json.dumps({"aligned": False, "seed": pair.seed}))


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    for seed in range(args.seeds):
        write(phantom(seed), args.out / f"phantom_{seed}")


if __name__ == "__main__":
    main()
