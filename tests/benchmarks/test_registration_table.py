"""The tables of registrations come from the committed results and show losses too."""

from benchmarks.registration import table as registration_table

REPORT = {
    "machine": {"cpu": "a CPU", "cores": 2},
    "threads": 2,
    "commit": "0123",
    "date": "2026-01-01",
    "repeats": 3,
    "tasks": [
        {
            "name": "head",
            "results": {
                "start": {"dice": 0.5, "folded_percent": 0.0},
                "greedy": {"dice": 0.75, "cpu_s": 9.04, "folded_percent": 0.25},
                "ants": {"failed": "too thin"},
                "mmreg_rt": {
                    "dice": 0.7,
                    "cpu_s": 1.0,
                    "folded_percent": 0.0,
                    "folds": {"forward": {"total": 3}},
                },
            },
        },
        {"name": "liver", "results": {"mmreg_rt": {"tre_mm": 2.5, "cpu_s": 1.0, "folded_percent": 0.0}}},
    ],
    "dice_difference": {
        "greedy": {"mean": -0.05, "low": -0.1, "high": 0.01, "pairs": 1, "won": 0, "lost": 1}
    },
}


def test_every_method_has_its_cell_losses_and_failures_included():
    text = registration_table.section(REPORT)
    assert "| head | 0.500 | fails | **0.750, 9.0 s**, 0.25 % folded | 0.700, 1.0 s |" in text
    assert "| liver | - | - | - | **2.50 mm, 1.0 s** |" in text
    assert "- Dice minus greedy NMI: -0.050 (95 % interval -0.100 to +0.010; 1 pairs, 0 won, 1 lost)" in text
    assert "(forward and inverse, whole grid): 3." in text


def test_what_is_level_as_shown_is_best_together():
    level = {"start": {"dice": 0.1234}, "ants": {"dice": 0.1231}, "mmreg_rt": {"failed": "too thin"}}
    cells = registration_table.cells(level, ["start", "ants", "mmreg_rt"])
    assert cells == ["**0.123**", "**0.123**", "fails"]
    near = {"start": {"tre_mm": 2.0}, "mmreg_rt": {"tre_mm": 1.0}}
    assert registration_table.cells(near, ["start", "ants", "mmreg_rt"]) == ["2.00 mm", "-", "**1.00 mm**"]


def test_a_remark_on_the_measurement_is_shown():
    assert registration_table.section({**REPORT, "remark": "Beside other work."}).endswith(
        "Beside other work."
    )
