"""Track a 2-D series of one person frame by frame, and draw the motion of chosen points as a picture.

    python examples/cine/cine.py [SERIES.nii.gz] [-o motion.png] [--point ROW COLUMN]... [--table motion.csv]

Each frame is registered to the first one, starting from the transform of the frame before. Without a series,
one is simulated and its true motion is drawn too.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import nibabel
import numpy as np
import simulated

from mmreg_rt import MmregError, Registrar

# The axes to show for a slice whose normal is this one: normal, down the rows, along the columns.
SHOWN = {"S": ("S", "P", "L"), "A": ("A", "I", "L"), "R": ("R", "I", "P")}
OPPOSITE = {"L": "R", "P": "A", "I": "S"}
DIRECTIONS = {"L": "left", "P": "posterior", "I": "inferior"}


@dataclass(frozen=True)
class Series:
    """Frames (T, 1, rows, columns), their affine from index to RAS mm, and their times."""

    frames: np.ndarray
    affine: np.ndarray
    times: np.ndarray
    time_unit: str
    point: tuple[int, int] | None = None  # of a simulated series: row and column to track
    point_truth_px: object = None  # and where they are, as a function of them and the time

    @property
    def spacing_mm(self):
        """Return the distance of rows, and of columns."""
        return np.linalg.norm(self.affine[:3, 1:3], axis=0)

    def in_plane(self, vectors_mm):
        """Return the parts along rows and columns (..., 2), in mm, of vectors (..., 3) in RAS mm."""
        return vectors_mm @ (self.affine[:3, 1:3] / self.spacing_mm)


def read(path):
    """Read a NIfTI file of one slice and some times, turned as it is usually shown."""
    image = nibabel.load(path)
    shape = image.shape
    if len(shape) != 4 or 1 not in shape[:3]:
        raise SystemExit(f"{path} must be one slice at some times, such as 128 x 128 x 1 x 40; found {shape}")
    now = nibabel.orientations.io_orientation(image.affine)
    codes = nibabel.aff2axcodes(image.affine)
    normal = codes[shape.index(1)]
    wanted = nibabel.orientations.axcodes2ornt(SHOWN[OPPOSITE.get(normal, normal)])
    turn = nibabel.orientations.ornt_transform(now, wanted)
    affine = image.affine @ nibabel.orientations.inv_ornt_aff(turn, shape[:3])
    data = nibabel.orientations.apply_orientation(image.get_fdata(dtype=np.float32), turn)
    step, unit = float(image.header.get_zooms()[-1]), image.header.get_xyzt_units()[1]
    scale = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}.get(unit, 0.0)
    times = np.arange(shape[3]) * (step * scale or 1.0)
    return Series(np.moveaxis(data, 3, 0), affine, times, "s" if step * scale else "frames")


def simulate():
    """Return the simulated series."""
    frames, affine, times_s = simulated.cine()
    return Series(frames, affine, times_s, "s", simulated.LESION, simulated.moved_px)


def track(series):
    """Register each frame to the first one. Return displacements (T, rows, columns, 2), mm, and times, ms."""
    session = Registrar().session((series.frames[0], series.affine))
    found, taken_ms = [], []
    for frame in series.frames:
        began = perf_counter()
        result = session.register((frame, series.affine), start="last")
        taken_ms.append(1e3 * (perf_counter() - began))
        found.append(series.in_plane(np.moveaxis(result.displacement_mm[:, 0], 0, -1)))
    return np.stack(found), taken_ms


def point_that_moves_most(series, displacements_mm):
    """Return the row and the column of the edge that moves most: flat tissue shows no motion of its own."""
    fixed = series.frames[0, 0]
    edges, motion_mm = (
        np.hypot(*np.gradient(fixed)),
        np.hypot(*np.moveaxis(np.ptp(displacements_mm, 0), -1, 0)),
    )
    inner = np.zeros(fixed.shape, bool)
    inner[tuple(slice(n // 8, n - n // 8) for n in fixed.shape)] = (
        True  # what leaves the frame cannot be tracked
    )
    inner &= edges > np.percentile(edges[inner], 90)
    return np.unravel_index(np.argmax(np.where(inner, motion_mm, -1)), fixed.shape)


def at(displacements_mm, point):
    """Return the displacement (T, 2) of the pixel that is nearest to a point."""
    row, column = np.round(point).astype(int)
    return displacements_mm[:, row, column]


def draw(series, displacements_mm, points, path):
    """Draw the frame with its displacement at the largest motion, and the motion of the points over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(12, 5.2), layout="constrained")
    frame, *curves = figure.subplot_mosaic(
        [["frame", "down"], ["frame", "along"]], width_ratios=(1, 1.25)
    ).values()
    peak = int(np.argmax(np.hypot(*at(displacements_mm, points[0]).T)))
    draw_frame(figure, frame, series, displacements_mm[peak], peak)
    names = [f"{DIRECTIONS[code]} (mm)" for code in nibabel.aff2axcodes(series.affine)[1:]]
    frame.set(xlabel=names[1], ylabel=names[0])
    for axis, (panel, name) in enumerate(zip(curves, names, strict=True)):
        draw_curves(panel, series, displacements_mm, points, axis)
        panel.set_ylabel(f"motion, {name}")
    for number, (row, column) in enumerate(points):
        place, style = np.array([column, row]) * series.spacing_mm[::-1], {"color": f"C{number}"}
        frame.plot(*place, "o", mfc="none", ms=9, mew=2, **style)
        style |= {"textcoords": "offset points", "weight": "bold"}
        label = frame.annotate(str(number + 1), place, (9, 9), **style)
        label.set_bbox({"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "none"})
    curves[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(points) + 1, frameon=False)
    curves[0].tick_params(labelbottom=False)
    curves[1].set_xlabel("time (s)" if series.time_unit == "s" else "frame")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def draw_frame(figure, panel, series, displacement_mm, peak):
    """Draw the fixed frame, with arrows to where its tissue is in another frame."""
    image, (down_mm, along_mm) = series.frames[0, 0], series.spacing_mm
    rows, columns = image.shape
    extent = np.array([-0.5, columns - 0.5, rows - 0.5, -0.5]) * (along_mm, along_mm, down_mm, down_mm)
    panel.imshow(image, cmap="gray", extent=extent, vmax=np.percentile(image, 99.8))
    step_mm = max(rows * down_mm, columns * along_mm) / 24
    down_step, along_step = (max(1, round(step_mm / each_mm)) for each_mm in series.spacing_mm)
    y, x = np.mgrid[down_step // 2 : rows : down_step, along_step // 2 : columns : along_step]
    body = image > np.percentile(image, 5) + 0.15 * np.ptp(np.percentile(image, (5, 99)))
    y, x = y[body[y, x]], x[body[y, x]]
    down, along = displacement_mm[y, x].T
    arrows = panel.quiver(
        *(x * along_mm, y * down_mm, along, down, np.hypot(down, along)),
        **{"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.006, "cmap": "plasma"},
    )
    figure.colorbar(arrows, ax=panel, shrink=0.7, label="displacement (mm)")
    when = f"t = {series.times[peak]:.1f} s" if series.time_unit == "s" else f"frame {peak}"
    panel.set_title(f"First frame, and where its tissue is at {when}")
    panel.set_xlim(x.min() * along_mm - 2 * step_mm, x.max() * along_mm + 2 * step_mm)
    panel.set_ylim(y.max() * down_mm + 2 * step_mm, y.min() * down_mm - 2 * step_mm)
    panel.set_facecolor("black")


def draw_curves(panel, series, displacements_mm, points, axis):
    """Draw one component of the motion of the points."""
    for number, point in enumerate(points):
        found = at(displacements_mm, point)[:, axis]
        panel.plot(series.times, found, ".-", color=f"C{number}", label=f"point {number + 1}")
        if series.point_truth_px:
            true = true_motion_mm(series, point)[:, axis]
            panel.plot(series.times, true, "--", lw=1, color="black", label=None if number else "true motion")
    panel.axhline(0, lw=0.6, color="0.6")
    panel.grid(alpha=0.3)


def true_motion_mm(series, point):
    """Return the displacement (T, 2) of a point of the simulated series."""
    where = [series.point_truth_px(point, time) for time in series.times]
    return (np.array(where) - point) * series.spacing_mm


def write_table(series, displacements_mm, points, path):
    """Write the motion of the points as CSV."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow((f"time ({series.time_unit})", "row", "column", "down_mm", "along_mm"))
        for point in points:
            for time, motion in zip(series.times, at(displacements_mm, point), strict=True):
                rows.writerow((f"{time:.6g}", *point, *(f"{value:.4f}" for value in motion)))


def main():
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("series", nargs="?", type=Path, help="NIfTI file of one slice at some times")
    parser.add_argument("-o", "--output", type=Path, default=Path("motion.png"), help="the picture")
    parser.add_argument("--point", nargs=2, type=int, action="append", metavar=("ROW", "COLUMN"))
    parser.add_argument("--table", type=Path, help="CSV file of the motion")
    words = parser.parse_args()
    series = read(words.series) if words.series else simulate()
    displacements_mm, taken_ms = track(series)
    points = words.point or [series.point or point_that_moves_most(series, displacements_mm)]
    for point in points:
        if not all(0 <= place < most for place, most in zip(point, series.frames.shape[2:], strict=True)):
            parser.error(f"--point {point[0]} {point[1]} is outside of the frames, {series.frames.shape[2:]}")
    draw(series, displacements_mm, points, words.output)
    if words.table:
        write_table(series, displacements_mm, points, words.table)
    later_ms = np.sort(taken_ms[1:])
    print(f"{len(taken_ms)} frames; median {np.median(later_ms):.0f} ms, slowest {later_ms[-1]:.0f} ms")
    for number, point in enumerate(points):
        moved = np.hypot(*at(displacements_mm, point).T)
        print(f"point {number + 1} at row {point[0]}, column {point[1]} moves up to {moved.max():.1f} mm")
    print(f"wrote {words.output}")


if __name__ == "__main__":
    try:
        main()
    except (MmregError, OSError, nibabel.filebasedimages.ImageFileError) as error:
        sys.exit(str(error))
