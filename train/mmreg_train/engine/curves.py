"""Training curves: ``curves.csv``, one value per row, and ``curves.png``."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from mmreg_rt.io.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

COLUMNS = ("step", "part", "term", "value")
Row = tuple[int, str, str, float]


class Curves:
    """The values of a run, appended to ``curves.csv`` as they are recorded."""

    def __init__(self, path: Path, until: int) -> None:
        """Open the curves and drop rows after step ``until``, which will be repeated."""
        self._path = path
        self.rows = [row for row in read_curves(path) if row[0] <= until]
        with open(path, "w", newline="") as stream:
            csv.writer(stream).writerows((COLUMNS, *self.rows))

    def add(self, step: int, part: str, values: Mapping[str, float]) -> None:
        """Add values of terms after ``step`` steps; ``part`` is ``train`` or ``val``."""
        rows = [(step, part, term, float(value)) for term, value in values.items()]
        self.rows += rows
        with open(self._path, "a", newline="") as stream:
            csv.writer(stream).writerows((*row[:3], repr(row[3])) for row in rows)

    def last(self, part: str) -> dict[str, float]:
        """Return the latest value of each term of ``part``."""
        return {term: value for _, row_part, term, value in self.rows if row_part == part}

    def draw(self, path: Path, title: str) -> None:
        """Draw ``curves.png``: one panel per term, with training and validation."""
        from io import BytesIO

        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        terms = _ordered({term for *_, term, _ in self.rows} - {BEFORE})
        columns = min(3, max(1, len(terms)))
        rows = max(1, -(-len(terms) // columns))
        figure = Figure(figsize=(4.6 * columns, 3.1 * rows + 0.4), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title)
        for place, term in enumerate(terms):
            _panel(figure.add_subplot(rows, columns, place + 1), term, self.rows)
        buffer = BytesIO()
        figure.savefig(buffer, dpi=110, format="png")
        with atomic_write(path) as stream:
            stream.write(buffer.getvalue())


def read_curves(path: Path) -> list[Row]:
    """Read the rows of a ``curves.csv``, without a truncated last row; none if the file is missing."""
    if not path.is_file():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [(int(step), part, term, float(value)) for step, part, term, value in list(csv.reader(whole))[1:]]


def _panel(axes: Axes, term: str, rows: list[Row]) -> None:
    lines = [("train", term, "training", BLUE, "-"), ("val", term, "validation", RED, "-")]
    if term == "label_dice":
        lines.append(("val", BEFORE, "before registration", GREY, "--"))
    for part, name, label, colour, style in lines:
        points = [(step, value) for step, of, what, value in rows if (of, what) == (part, name)]
        if points:
            marker = "o" if part == "val" or len(points) == 1 else ""
            steps, values = zip(*points, strict=True)
            axes.plot(
                steps, values, style, color=colour, marker=marker, markersize=3, label=label, linewidth=1.3
            )
    if term in FROM_ZERO:
        axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 1e-9))
    axes.set_title(TITLES.get(term, term.replace("_", " ")), fontsize=10)
    axes.set_xlabel("step")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False)
    axes.margins(x=0.02)


BEFORE = "label_dice_before"  # drawn beside label_dice
BLUE, RED, GREY = "#4477aa", "#cc6677", "#888888"
FROM_ZERO = ("folded_percent", "steps_per_s", "learning_rate")
TITLES = {
    "total": "loss",
    "dice": "1 - soft Dice",
    "label_dice": "Dice of labels",
    "folded_percent": "folded voxels, %",
    "learning_rate": "learning rate",
    "gradient_norm": "length of the gradient",
    "steps_per_s": "steps per second",
}
FIRST = ("total", "label_dice", "folded_percent")
LAST = ("gradient_norm", "learning_rate", "steps_per_s")


def _ordered(terms: set[str]) -> list[str]:
    middle = sorted(terms - set(FIRST) - set(LAST))
    return [*(t for t in FIRST if t in terms), *middle, *(t for t in LAST if t in terms)]
