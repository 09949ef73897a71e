"""Translation of error messages from the terms of Python to those of the shell.

Errors name arguments as a caller from Python knows them (``frame=0``, ``same_space=False``) and may add an
expression for Python in parentheses. Here, and only here, they become options and commands.
"""

from __future__ import annotations

import re

OPTIONS: dict[str, str] = {
    "align": "--align",
    "backend": "--backend",
    "cpu": "--cpu",
    "deadline_ms": "--deadline-ms",
    "device": "--device",
    "fixed_mask": "--fixed-mask",
    "frame": "--frame",
    "grey": "--grey",
    "grid": "--like",
    "interpolation": "--interpolation",
    "model": "--model",
    "moving_mask": "--moving-mask",
    "outside": "--outside",
    "precision": "--precision",
    "prefer": "--prefer",
    "refine": "--refine",
    "series": "--series",
    "spacing_mm": "--spacing",
    "threads": "--threads",
}
FLAGS: dict[str, str] = {
    "deform=False": "--no-deform",
    "grey=True": "--grey",
    "refine=False": "--no-refine",
    "refine=True": "--refine",
    "same_space=False": "--no-same-space",
    "same_space=True": "--same-space",
}
# phrases for Python, and their counterparts in the shell
PHRASES: dict[str, str] = {
    "Rigid(numpy.eye(4)).warp_labels(mask, scan)": "`mmreg warp MASK --labels --like SCAN -o NEW_MASK`",
    "PreprocessSpec.as_dict": "`mmreg export`",
    "folding()": "`mmreg evaluate --transform FILE`",
    "golden_bytes": "`mmreg export`",
    "opset_version=": "operator set ",
    "with warp_labels": "with `mmreg warp --labels`",
    "write_bundle": "`mmreg export`",
}
_VALUE = r"""(?P<value>'[^']*'|"[^"]*"|-?[\w.:]+)"""
_NAMES = "|".join(OPTIONS)
_ARGUMENT = re.compile(rf"(?<![\w.-])(?P<name>{_NAMES})=(?:{_VALUE})?(?<![.:])")
_SUBJECT = re.compile(rf"(?<![\w.-])(?P<name>{_NAMES}) (?=must\b)")
_FLAG = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, FLAGS))})\b")
# first words of expressions for Python: libraries, names of this package, and its objects
_HEADS = (
    "mmreg_rt", "numpy", "torch", "nibabel", "cupy", "Volume", "Grid", "Rigid", "Affine", "Composite",
    "DisplacementField", "Registrar", "plan", "transform", "image", "io", "read_transform", "read_points",
    "write_transform", "warp", "warp_labels", "to_field",
)  # fmt: skip
_BRACKETS = r"\((?:[^()]|\([^()]*\))*\)"
_CALL = rf"(?:{'|'.join(_HEADS)})(?:\.\w+|{_BRACKETS})*(?: [<>=]+ [\d.]+)?"
_EXPRESSION = re.compile(rf"\s\({_CALL}(?:, {_CALL})*\)")


def for_shell(text: str) -> str:
    """Replace arguments by options and commands, and drop expressions that only Python has."""
    for phrase, words in PHRASES.items():
        text = text.replace(phrase, words)
    text = _EXPRESSION.sub("", text)
    text = _FLAG.sub(lambda match: FLAGS[match[0]], text)
    text = _SUBJECT.sub(lambda match: f"{OPTIONS[match['name']]} ", text)
    return _ARGUMENT.sub(_option, text)


def _option(match: re.Match[str]) -> str:
    value = (match["value"] or "").strip("'\"")
    return f"{OPTIONS[match['name']]} {value}".rstrip()
