"""Make the README's picture from what `make demo` wrote: python docs/picture.py [DEMO_FOLDER]

Columns: the fixed scan, the moving scan as given, and registered; outlines are those of the fixed scan.
"""

import sys
from pathlib import Path

import numpy as np

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
        seen = [
            Tone(scan.data)(sample(scan.data, scan.grid, plane.points)) for scan in (fixed, moving, warped)
        ]
        line = edges(np.nan_to_num(seen[0]), keep=0.05)
        shown = [outlined(seen[0], np.zeros_like(line)), outlined(seen[1], line), outlined(seen[2], line)]
        rows.append(np.hstack([np.pad(picture.indices, GAP_PX // 2) for picture in shown]))
    Path(__file__).with_name("phantom.png").write_bytes(encode(np.vstack(rows), shown[0].palette))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
