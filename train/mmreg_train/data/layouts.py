"""Cases from a data description: one function per layout of files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmreg_rt.errors import InputError
from mmreg_rt.io.files import read_text

from ..config.dataset import Arrays, Files
from .cases import CODE, Case, Scan, load_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.dataset import Description

PLACE = "{case}"
JSON_LIMIT_BYTES = 16 << 20
# end-diastole is fixed, end-systole moving: "CAMUS 2-D echocardiography" and "ACDC" as prepared for LDM-Morph
PHASES = Arrays("ed_image", "es_image", "ed_label", "es_label", "spacing_mm", "patient")
ACDC_FILES = Files(
    fixed="{case}_ED_image.nii.gz",
    moving="{case}_ES_image.nii.gz",
    fixed_label="{case}_ED_label.nii.gz",
    moving_label="{case}_ES_label.nii.gz",
)


def find_cases(description: Description, folder: Path) -> list[Case]:
    """Find all cases of a data set, sorted by name.

    Raises:
        InputError: There are no cases, or a file of one is missing.
    """
    cases = sorted(LAYOUTS[description.layout](description, folder), key=lambda case: case.name)
    if not cases:
        raise InputError(CODE, f"No case found in {folder}. Check the patterns in [files].")
    person = _person_of(description, folder)
    return [replace(case, people=tuple(dict.fromkeys(map(person, case.people)))) for case in cases]


def _pattern(description: Description, folder: Path) -> list[Case]:
    patterns = _set_patterns(description.files)
    if description.pairing == "all":
        return _all_pairs(patterns, folder)
    leading = next(iter(patterns.values()))
    cases = []
    for name in _names(leading, folder):
        scans = {role: Scan(folder / pattern.replace(PLACE, name)) for role, pattern in patterns.items()}
        cases.append(Case(name, (name,), scans))
    _refuse_missing(cases)
    return cases


def _all_pairs(patterns: dict[str, str], folder: Path) -> list[Case]:
    cases = []
    for pair in product(_names(patterns["fixed"], folder), _names(patterns["moving"], folder)):
        of = dict(zip(("fixed", "moving"), pair, strict=True))
        scans = {
            role: Scan(folder / pattern.replace(PLACE, of[role.removesuffix("_label")]))
            for role, pattern in patterns.items()
        }
        people = tuple(_stem(scans[role].path) for role in of)
        cases.append(Case("-".join(people), people, scans))
    _refuse_missing(cases)
    return cases


def _npz(description: Description, folder: Path) -> list[Case]:
    arrays = description.arrays or PHASES
    pattern = description.files.npz or ""
    paths = [folder / pattern.replace(PLACE, name) for name in _names(pattern, folder)]
    return [case for path in paths for case in _cases_in(path, arrays)]


def _camus(description: Description, folder: Path) -> list[Case]:
    return _npz(_with_npz(description, folder, "camus_4ch.npz", "{case}_4ch.npz"), folder)


def _acdc(description: Description, folder: Path) -> list[Case]:
    if description.files.npz or (folder / "acdc_midslice.npz").is_file():
        return _npz(_with_npz(description, folder, "acdc_midslice.npz", ""), folder)
    files = description.files if description.files.fixed else ACDC_FILES
    return _pattern(replace(description, files=files, layout="pattern"), folder)


def _with_npz(description: Description, folder: Path, stacked: str, single: str) -> Description:
    pattern = description.files.npz or (stacked if (folder / stacked).is_file() else single)
    return replace(description, layout="npz", arrays=PHASES, files=Files(npz=pattern))


def _cases_in(path: Path, names: Arrays) -> list[Case]:
    stored = load_arrays(path)
    spacing = names.spacing_mm if names.spacing_mm in stored else None
    roles = {role: getattr(names, role) for role in ("fixed", "moving", "fixed_label", "moving_label")}
    stacked = names.case is not None and names.case in stored
    labels = [str(name) for name in stored[names.case or ""]] if stacked else [_stem(path)]
    return [
        Case(
            label,
            (label,),
            {role: Scan(path, of, spacing, index if stacked else None) for role, of in roles.items() if of},
        )
        for index, label in enumerate(labels)
    ]


def _learn2reg(description: Description, folder: Path) -> list[Case]:
    """Read the ``dataset.json`` of Learn2Reg; its ``registration_val`` pairs are the validation part."""
    path = folder / (description.files.json or "dataset.json")
    try:
        table = json.loads(read_text(path, JSON_LIMIT_BYTES))
    except json.JSONDecodeError as reason:
        raise InputError(CODE, f"{path} is not JSON: {reason}. Download it again.") from reason
    if description.kind == "scans":
        return [_learn2reg_scan(folder, entry) for entry in table.get("training", [])]
    val = [_learn2reg_pair(folder, entry, "val") for entry in table.get("registration_val", [])]
    validation_names = {case.name for case in val}
    train = [_learn2reg_pair(folder, entry, "train") for entry in table.get("training_paired_images", [])]
    cases = [*val, *(case for case in train if case.name not in validation_names)]
    _refuse_missing(cases)
    return cases


def _learn2reg_pair(folder: Path, entry: dict[str, str], part: str) -> Case:
    keys = ("fixed", "moving") if "fixed" in entry else ("0", "1")
    scans: dict[str, Scan] = {}
    for role, key in zip(("fixed", "moving"), keys, strict=True):
        scans[role] = Scan((folder / entry[key]).resolve())
        label = _learn2reg_label(scans[role].path)
        if label.is_file():
            scans[f"{role}_label"] = Scan(label)
    if len(scans) == 3:  # a single label map cannot be scored
        scans = {role: scan for role, scan in scans.items() if not role.endswith("_label")}
    names = tuple(_stem(scans[role].path) for role in ("fixed", "moving"))
    return Case("-".join(names), names, scans, part)


def _learn2reg_scan(folder: Path, entry: dict[str, str] | str) -> Case:
    image = entry if isinstance(entry, str) else entry["image"]
    scans = {"scan": Scan((folder / image).resolve())}
    label = _learn2reg_label(scans["scan"].path)
    if label.is_file():
        scans["label"] = Scan(label)
    return Case(_stem(scans["scan"].path), (_stem(scans["scan"].path),), scans)


def _learn2reg_label(image: Path) -> Path:
    return image.parent.with_name(image.parent.name.replace("images", "labels")) / image.name


LAYOUTS: dict[str, Callable[[Description, Path], list[Case]]] = {
    "pattern": _pattern,
    "npz": _npz,
    "camus": _camus,
    "acdc": _acdc,
    "learn2reg": _learn2reg,
}


def _set_patterns(files: Files) -> dict[str, str]:
    named: dict[str, Any] = {of.name: getattr(files, of.name) for of in fields(Files)}
    return {role: pattern for role, pattern in named.items() if pattern is not None}


def _names(pattern: str, folder: Path) -> list[str]:
    """Return the values of ``{case}`` among the files of a folder; a pattern without it is one case."""
    if PLACE not in pattern:
        return [pattern] if (folder / pattern).is_file() else []
    first, *rest = (re.escape(piece) for piece in pattern.split(PLACE))
    # a second {case} must match the same name
    expression = re.compile(first + "(?P<case>[^/]+)" + "(?P=case)".join(rest))
    matches = (
        expression.fullmatch(path.relative_to(folder).as_posix())
        for path in folder.glob(pattern.replace(PLACE, "*"))
    )
    return sorted(match["case"] for match in matches if match)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".npz")


def _refuse_missing(cases: Sequence[Case]) -> None:
    missing = [scan.path for case in cases for scan in case.scans.values() if not scan.path.is_file()]
    if missing:
        raise InputError(
            CODE,
            f"{len(missing)} files of {len(cases)} cases are missing: {', '.join(map(str, missing[:3]))}"
            f"{' and others' if len(missing) > 3 else ''}. Complete the folder, or correct the patterns.",
        )


def _person_of(description: Description, folder: Path) -> Callable[[str], str]:
    regex, listed = description.person.regex, description.person.list
    if regex is not None:
        return lambda name: _first_group(regex, name)
    if listed is not None:
        rows = [row.split() for row in read_text(folder / listed, JSON_LIMIT_BYTES).splitlines()]
        by_case = {name: row[0] for row in rows for name in row}
        return lambda name: _person_in_list(by_case, name, listed)
    return lambda name: name


def _first_group(regex: str, name: str) -> str:
    match = re.search(regex, name)
    if match is None:
        raise InputError(
            CODE, f"The person regex {regex!r} does not match the case name {name!r}. Correct the regex."
        )
    return str(match[1])


def _person_in_list(by_case: dict[str, str], name: str, listed: str) -> str:
    if name not in by_case:
        raise InputError(
            CODE, f"The case {name!r} is not in {listed}. Add a line with the cases of its person."
        )
    return by_case[name]
