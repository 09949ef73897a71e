"""Draw the picture of the README from the results of ``make demo``.

    python -m benchmarks.datasets.demo_picture [DEMO_FOLDER]

Columns: the fixed scan, the moving scan before and after registration. Outlines are those of the fixed scan.
"""

import sys
from pathlib import Path

import numpy as np

from benchmarks.harness.machine import ROOT
from mmreg_rt import read_image
from mmreg_rt.report.pictures import Tone, edges, outlined
from mmreg_rt.report.planes import planes, sample
from mmreg_rt.report.png import encode

GAP_PX = 6


def main(demo: Path) -> None:
    fixed, moving, warped = (
        read_image(demo / name) for name in ("phantom_mr.nii.gz", "phantom_ct.nii.gz", "warped.nii.gz")
    )
    rows = []
    for plane in planes(fixed, across_px=300)[0][:2]:  # axial and coronal
        slices = [
            Tone(scan.data)(sample(scan.data, scan.grid, plane.points)) for scan in (fixed, moving, warped)
        ]
        outlines = edges(np.nan_to_num(slices[0]), keep=0.05)
        pictures = [
            outlined(brightness, lines)
            for brightness, lines in zip(slices, (np.zeros_like(outlines), outlines, outlines))
        ]
        rows.append(np.hstack([np.pad(picture.indices, GAP_PX // 2) for picture in pictures]))
    (ROOT / "docs" / "phantom.png").write_bytes(encode(np.vstack(rows), pictures[0].palette))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
