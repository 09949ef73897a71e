"""Ablation of LLM-Morph: pre-trained, random and no language layers.

    python -m benchmarks.accuracy.llm_ablation DATA WORK [--tasks abdomen,t1_ct,t1_pseudot2] [--seeds 0,1,2]
        [--folds 0] [--steps 1000] [--backbones pretrained,random,none,NAME=FOLDER] [--language-model FOLDER]
        [--precision bf16-mixed] [--threads N] [--results OUT.json]

The same network (``llm_morph_small.toml``) is trained with the layers of a language model, with random layers
of the same shape and without layers: with the same people, samples, steps and initial trained weights. People
are left out fold by fold, and the pairs among them are scored; nothing is selected on them, the last weights
are used. Folds are in WORK/splits, runs in WORK/runs; complete runs are not repeated, so an interrupted call
can be continued. "pretrained" is the folder ``--language-model``; if missing, it is trained first
(``benchmarks.accuracy.byte_language_model``). Layers of NAME=FOLDER attend to all tokens unless they are from
a causal model.

Tasks, all at 2 mm and affinely aligned by mmreg_rt: abdomen MR-CT, 4 organs, any CT with any MR; brain T1
with the CT template, and with the T1 of another person in inverted contrast, 23 structures. People of the
held-out list of registrations are in the training part: these networks must not be scored on that list.

The table gives the Dice over pairs, its mean and sd over runs (seeds and folds), the paired difference to
"none", the number of labels whose mean is above the affine start, and folds.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.accuracy import byte_language_model as bytes_model
from benchmarks.accuracy.trainings import train
from benchmarks.datasets.prepare_heldout import Scan, inverted, read, shared_structures, write
from benchmarks.harness.machine import description as machine
from benchmarks.harness.scoring import dice, hd95_mm
from mmreg_train.config.dataset import read_description
from mmreg_train.config.training import Config, as_toml, configs_folder, read_config
from mmreg_train.data.layouts import find_cases
from mmreg_train.data.preparation import Preparation, default_cache
from mmreg_train.data.sources import Prepared
from mmreg_train.data.splits import divide
from mmreg_train.engine.checkpoint import LAST, load_method
from mmreg_train.engine.validation import folded_percent
from mmreg_train.layers import warp_labels
from mmreg_train.methods.llm_morph.backbone import shape_of

PEOPLE = ("1000", "1003", "1006", "1009", "1012", "1019", "1107", "1122")
ABDOMEN = """kind = "pairs"
licence = "research only: CHAOS is CC BY-NC-SA 4.0, the terms of BTCV are unclear"
folder = "{folder}"
pairing = "all"
align = "affine"
[files]
fixed = "ct{{case}}_image.nii.gz"
moving = "mr{{case}}_image.nii.gz"
fixed_label = "ct{{case}}_label.nii.gz"
moving_label = "mr{{case}}_label.nii.gz"
[person]
regex = "((?:ct|mr)[0-9]+)"
"""
BRAIN = """kind = "pairs"
licence = "research only: CC BY-NC (OASIS, Neuromorphometrics)"
folder = "{folder}"
pairing = "{pairing}"
align = "affine"
[files]
fixed = "t1_{{case}}_image.nii.gz"
moving = "{moving}_{{case}}_image.nii.gz"
fixed_label = "t1_{{case}}_label.nii.gz"
moving_label = "{moving}_{{case}}_label.nii.gz"
[person]
regex = "([0-9]+)(?:_image)?$"
"""
Result = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One training and its evaluation."""

    task: str
    fold: int
    seed: int
    backbone: str

    @property
    def name(self) -> str:
        return f"{self.task}_fold{self.fold}_seed{self.seed}_{self.backbone}"


def arguments() -> argparse.Namespace:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--tasks", type=words, default=list(TASKS))
    parser.add_argument("--seeds", type=numbers, default=[0, 1, 2])
    parser.add_argument("--folds", type=numbers, default=[0])
    parser.add_argument("--backbones", type=words, default=["pretrained", "random", "none"])
    parser.add_argument("--steps", type=int, help="steps of every training; default: of the configuration")
    parser.add_argument(
        "--language-model", type=Path, help="default: WORK/language_model, trained if missing"
    )
    parser.add_argument("--language-steps", type=int, default=bytes_model.Settings.steps)
    parser.add_argument("--config", type=Path, default=configs_folder() / "llm_morph_small.toml")
    parser.add_argument("--precision", default="32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--results", type=Path, help="JSON file to write")
    return parser.parse_args()


def words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def numbers(text: str) -> list[int]:
    return [int(word) for word in words(text)]


def centred(scan: Scan) -> Scan:
    """Move the centre of the field of view to 0, as origins of different people are unrelated."""
    affine = scan[1].copy()
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(scan[0].shape) - 1) / 2)
    return scan[0], affine


def abdomen(data: Path, work: Path) -> tuple[str, list[list[str]]]:
    """Return the description, and the people left out together: one of CT, one of MR."""
    folder = (work / "abdomens").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((data / "abdomen_mr_ct").glob("*.nii.gz")):
        if not (folder / path.name).exists():
            write(centred(read(path)), folder / path.name)
    sides = [sorted(path.name[:4] for path in folder.glob(f"{side}*_image.nii.gz")) for side in ("ct", "mr")]
    return ABDOMEN.format(folder=folder), [list(pair) for pair in zip(*sides)]


def brain_pseudot2(data: Path, work: Path) -> tuple[str, list[list[str]]]:
    folder = brains(data, work)
    return BRAIN.format(folder=folder, pairing="all", moving="t2"), couples()


def brain_ct(data: Path, work: Path) -> tuple[str, list[list[str]]]:
    folder = brains(data, work)
    return BRAIN.format(folder=folder, pairing="same", moving="ct"), couples()


TASKS = {"abdomen": abdomen, "t1_ct": brain_ct, "t1_pseudot2": brain_pseudot2}


def couples() -> list[list[str]]:
    return [list(PEOPLE[i : i + 2]) for i in range(0, len(PEOPLE), 2)]


def brains(data: Path, work: Path) -> Path:
    """Write scans and labels of the shared structures; each person also gets the template."""
    folder = (work / "brains").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for person in PEOPLE:
        if not (folder / f"ct_{person}_label.nii.gz").exists():  # the last file of a person
            write_person(person, data, folder)
    return folder


def write_person(person: str, data: Path, folder: Path) -> None:
    t1, labels = (read(data / f"brain_t1_labelled/{person}_{name}.nii.gz") for name in ("t1", "label"))
    ct, ct_labels = (
        read(data / f"brain_ct_template/hh_{name}_2mm.nii.gz") for name in ("template", "structures")
    )
    images = {"t1": t1, "t2": (inverted(t1[0]), t1[1]), "ct": ct}
    for contrast, image in images.items():
        regions = ct_labels if contrast == "ct" else labels
        write(centred(image), folder / f"{contrast}_{person}_image.nii.gz")
        structures = shared_structures(regions[0]), regions[1]
        write(centred(structures), folder / f"{contrast}_{person}_label.nii.gz")


def described(task: str, data: Path, work: Path, fold: int) -> Path:
    """Write a description whose split leaves out the people of a fold; return its path."""
    text, folds = TASKS[task](data, work)
    if not 0 <= fold < len(folds):
        raise SystemExit(f"{task} has the folds 0 to {len(folds) - 1}; found {fold}")
    splits = work / "splits"
    splits.mkdir(parents=True, exist_ok=True)
    left_out = folds[fold]
    rest = sorted(person for other in folds for person in other if person not in left_out)
    file = (splits / f"{task}_fold{fold}.json").resolve()
    file.write_text(json.dumps({"people": {"train": rest, "val": [], "test": left_out}}, indent=1) + "\n")
    path = splits / f"{task}_fold{fold}.toml"
    head = f'format = "mmreg-data/1"\nname = "{task}, without {" and ".join(left_out)}"\n'
    path.write_text(f'{head}{text}[split]\nfile = "{file}"\n')
    return path


def language_model(args: argparse.Namespace) -> Path:
    folder: Path = args.language_model or args.work / "language_model"
    if not (folder / "config.json").exists():
        settings = replace(bytes_model.Settings(), steps=args.language_steps)
        bytes_model.train(folder, settings, bytes_model.documentation())
    return folder


def configured(backbone: str, language: Path, args: argparse.Namespace) -> Config:
    """Return the configuration for a backbone; random and none have the shape of the language model."""
    config = read_config(args.config)
    folder = Path(backbone.partition("=")[2] or language)
    shape: Result = {"backbone_config": shape_of(folder, len(config.settings["layers"]))}
    if backbone not in ("random", "none"):
        kinds = json.loads((folder / "config.json").read_text()).get("architectures") or [""]
        shape = {"causal": "CausalLM" in kinds[0]}
    name = backbone if backbone in ("random", "none") else str(folder.resolve())
    steps = args.steps or config.training.steps
    training = replace(config.training, steps=steps, validate_every=steps, precision=args.precision)
    return replace(config, settings={**config.settings, **shape, "backbone": name}, training=training)


def trained(run: Run, config: Config, data: Path, args: argparse.Namespace) -> Path:
    """Train a run, or complete it; return its folder."""
    folder: Path = args.work / "runs" / run.name
    settings = args.work / "configs" / f"{run.name}.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(as_toml(config))
    begin = ["--config", settings, "--seed", run.seed]
    train("llm_morph", folder, config.training.steps, data, args.threads, begin)
    return folder


def scored(folder: Path, config: Config, data: Path) -> list[Result]:
    """Return the scores of the pairs of the people left out, before and after."""
    method = load_method(folder / LAST)
    described, files = read_description(data)
    cases = find_cases(described, files)
    left_out = set(divide(cases, described.split, files).cases["test"])
    # two contrasts of one person are already aligned
    tested = [
        case for case in cases
        if case.name in left_out and (described.pairing == "same" or len(case.people) == 2)
    ]  # fmt: skip
    preparation = Preparation(
        config.spec, config.data.size, described.align, described.labels, default_cache()
    )
    prepared = Prepared(tested, preparation)
    return [pair_scores(case.name, method, prepared.load(n), config) for n, case in enumerate(tested)]


@torch.no_grad()
def pair_scores(name: str, method: Any, pair: dict[str, torch.Tensor], config: Config) -> Result:
    field = method.displacement(method(pair["fixed"], pair["moving"]))
    fixed = pair["fixed_label"][0].numpy()
    scores: Result = {"name": name, "folded_percent": folded_percent(field)}
    moved = {"start": pair["moving_label"], "found": warp_labels(pair["moving_label"], field)}
    labels = sorted(set(np.unique(fixed)) & set(pair["moving_label"].unique().tolist()) - {0})
    for when, maps in moved.items():
        moving = maps[0].numpy()
        per_label = {int(v): dice(fixed == v, moving == v) for v in labels}
        far = [hd95_mm(fixed == v, moving == v, np.full(3, config.spec.spacing_mm)) for v in labels]
        scores |= {f"dice_{when}": per_label, f"hd95_mm_{when}": float(np.nanmean(far))}
    return scores


def mean_dice(pairs: list[Result], when: str) -> float:
    return float(np.mean([list(pair[f"dice_{when}"].values()) for pair in pairs]))


def table(runs: list[Result]) -> str:
    """Format rows by task and backbone; sd over runs."""
    by_task: dict[str, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        by_task[run["task"]][run["backbone"]].append(run)
    head = f"{'task':12} {'backbone':12} {'runs':>4} {'start':>6} {'Dice':>6} {'sd':>6}   {'minus none':>14}"
    lines = [f"{head}   labels above start   folds %"]
    for task, backbones in by_task.items():
        lines += [
            row(task, name, of_backbone, backbones.get("none", [])) for name, of_backbone in backbones.items()
        ]
    return "\n".join(lines)


def row(task: str, backbone: str, runs: list[Result], without: list[Result]) -> str:
    dices = [mean_dice(run["pairs"], "found") for run in runs]
    start = float(np.mean([mean_dice(run["pairs"], "start") for run in runs]))
    folds = float(np.mean([pair["folded_percent"] for run in runs for pair in run["pairs"]]))
    above, labels = above_start(runs)
    beside = {(run["fold"], run["seed"]): mean_dice(run["pairs"], "found") for run in without}
    keys = [(run["fold"], run["seed"]) for run in runs]
    gains = [dice - beside[key] for dice, key in zip(dices, keys) if key in beside]
    difference = f"{np.mean(gains):+.4f} ({spread(gains)})" if gains and runs is not without else ""
    return (f"{task:12} {backbone:12} {len(runs):4} {start:6.4f} {np.mean(dices):6.4f} {spread(dices):>6}   "
            f"{difference:>14}   {above:8} of {labels:<8} {folds:8.3f}")  # fmt: skip


def spread(values: list[float]) -> str:
    return f"{np.std(values, ddof=1):.4f}" if len(values) > 1 else "-"


def above_start(runs: list[Result]) -> tuple[int, int]:
    """Return the number of labels whose mean over pairs and runs is above the start, and of all labels."""
    gains = defaultdict(list)
    for pair in (pair for run in runs for pair in run["pairs"]):
        for label, before in pair["dice_start"].items():
            gains[label].append(pair["dice_found"][label] - before)
    return sum(np.mean(values) > 0 for values in gains.values()), len(gains)


def main() -> None:
    args = arguments()
    if unknown := set(args.tasks) - set(TASKS):
        raise SystemExit(f"--tasks must be of {', '.join(TASKS)}; found {', '.join(sorted(unknown))}")
    language = language_model(args)
    facts = language / bytes_model.FACTS
    report: Result = {
        "benchmark": "llm_ablation",
        **machine(),
        "threads": args.threads,
        "language_model": json.loads(facts.read_text()) if facts.exists() else language.name,
        "runs": [],
    }
    for task in args.tasks:
        # seed by seed, so that an interrupted run compares fewer seeds
        for fold, seed, backbone in (
            (f, s, b) for f in args.folds for s in args.seeds for b in args.backbones
        ):
            run = Run(task, fold, seed, backbone.partition("=")[0])
            config = configured(backbone, language, args)
            data = described(task, args.data, args.work, fold)
            folder = trained(run, config, data, args)
            pairs = scored(folder, config, data)
            facts_of_run = {**asdict(run), "steps": config.training.steps, "precision": args.precision}
            report["runs"].append({**facts_of_run, "pairs": pairs})
            print(
                f"{run.name}: Dice {mean_dice(pairs, 'start'):.4f} to {mean_dice(pairs, 'found'):.4f}",
                flush=True,
            )
            if args.results:
                args.results.parent.mkdir(parents=True, exist_ok=True)
                args.results.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report["runs"]))


if __name__ == "__main__":
    main()
