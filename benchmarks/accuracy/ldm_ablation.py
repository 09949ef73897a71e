"""Ablation of LDM-Morph: gradient of the latent term, against its presence only, as in the released code.

    python -m benchmarks.accuracy.ldm_ablation camus --data DATA --splits OUT/camus_paper.json --frozen RUN
        --work DIR [--seeds 0,1,2] [--steps 2500] [--threads 2] [--results OUT.json]

DATA and OUT are those of ``prepare_cardiac.py``; RUN is a training whose autoencoder and diffusion model all
runs share. The registration network is trained from it with ``latent_gradient`` true and false, each with the
same seeds: the same initial weights and samples. The last weights are used, so nothing is selected. Runs are
in DIR; complete runs are not repeated. People of the test part are scored as in ``cardiac.py``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.cardiac import SETS, Pair, ours, pairs, scored, summary
from benchmarks.accuracy.trainings import mmreg, train
from benchmarks.harness.bootstrap import paired_difference
from benchmarks.harness.machine import description
from mmreg_train.config.training import Config, as_toml, configs_folder, read_config
from mmreg_train.engine.checkpoint import LAST

Result = dict[str, Any]
VARIANTS = {"with gradient": True, "without": False}


def arguments() -> argparse.Namespace:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True, help="JSON, beside a TOML of the same name")
    parser.add_argument("--frozen", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=lambda text: [int(n) for n in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--config", type=Path, default=configs_folder() / "ldm_morph_small.toml")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path)
    return parser.parse_args()


def configured(gradient: bool, args: argparse.Namespace) -> Config:
    """Return the configuration of the last phase only, without intermediate validation."""
    config = read_config(args.config)
    last = {**config.phases[-1], "steps": args.steps, "validate_every": args.steps}
    settings = {**config.settings, "latent_gradient": gradient}
    return replace(config, settings=settings, phases=(last,))


def bundle(seed: int, variant: str, args: argparse.Namespace) -> Path:
    """Train and export a run, unless its bundle exists."""
    name = f"{variant.replace(' ', '_')}_{seed}"
    run, exported, settings = (args.work / f"{name}{end}" for end in ("", ".mmreg", ".toml"))
    if exported.is_file():
        return exported
    args.work.mkdir(parents=True, exist_ok=True)
    settings.write_text(as_toml(configured(VARIANTS[variant], args)))
    begin = ["--config", settings, "--phases-from", args.frozen, "--seed", seed]
    train("ldm_morph", run, args.steps, args.splits.with_suffix(".toml"), args.threads, begin)
    mmreg("export", run / LAST, "-o", exported)
    return exported


def measured(seed: int, variant: str, tests: list[Pair], args: argparse.Namespace) -> Result:
    method = ours(str(bundle(seed, variant, args)), args.threads)
    method(tests[0])  # warm-up
    people = [scored(method, pair, SETS[args.set][1]) for pair in tests]
    return {"seed": seed, "variant": variant, **summary(people), "per_person": people}


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.4f} (sd {np.std(values, ddof=1) if len(values) > 1 else 0:.4f})"


def table(runs: list[Result]) -> list[str]:
    """Format a line for each variant: means and standard deviations over seeds."""
    lines = []
    for variant in VARIANTS:
        of_variant = [run for run in runs if run["variant"] == variant]
        dices, folds = ([run[key] for run in of_variant] for key in ("dice", "network_folded_percent"))
        lines.append(
            f"{variant:14} {len(dices)} seeds  Dice {spread(dices)}  J<=0 of the network {spread(folds)} %"
        )
    return lines


def difference(runs: list[Result]) -> Result:
    """Return the Dice with minus without gradient over people, averaged over seeds per person."""
    means = [
        np.mean([[p["dice"] for p in run["per_person"]] for run in runs if run["variant"] == variant], 0)
        for variant in VARIANTS
    ]
    result: Result = paired_difference(list(means[0]), list(means[1])).as_dict()
    return result


def main() -> None:
    args = arguments()
    people = json.loads(args.splits.read_text())["people"]["test"]
    tests = pairs(args.data / SETS[args.set][0], people)
    report: Result = {"benchmark": "ldm_ablation", "set": args.set, **description(), "steps": args.steps}
    runs = [measured(seed, variant, tests, args) for seed in args.seeds for variant in VARIANTS]
    report |= {"runs": runs, "with_minus_without": difference(runs)}
    print("\n".join(table(runs)))
    d = report["with_minus_without"]
    print(f"with minus without, over people: {d['mean']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]")
    if args.results:
        args.results.parent.mkdir(parents=True, exist_ok=True)
        args.results.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
