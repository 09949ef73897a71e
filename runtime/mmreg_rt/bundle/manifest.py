"""The manifest of a bundle: plain data, each value checked. ``mmreg_rt.bundle`` defines the keys.

Training validates its settings with pydantic. The runtime does not, because its few dependencies are all that
a hospital has to approve, and pydantic brings a compiled module and three more packages.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import BundleError, InputError
from ..preprocess import PreprocessSpec
from .container import NAME
from .strict_json import MAX_MM, StrictObject, is_number, json_of, short_repr

FORMAT = "mmreg-bundle/1"
KINDS = ("displacement", "velocity", "rigid", "affine", "descriptor")
FIELDS = ("displacement", "velocity")  # kinds whose output is a vector at each voxel
RIGID = "rigid"
PRECISIONS = ("fp32", "fp16", "int8")
MAX_MANIFEST_BYTES = 1 << 20
MAX_GOLDEN_BYTES = 64 << 20
MAX_MODEL_BYTES = 1 << 30
MAX_OTHER_BYTES = 16 << 20
MAX_CHANNELS = 4096
MAX_INTEGRATION_STEPS = 12
MAX_STAGES = 8
MAX_WINDOW = 1024  # voxels along an axis
MAX_WINDOW_VOXELS = 1 << 24
WINDOW_SPACING_MM = (0.01, 100.0)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class OutputSpec:
    """The output of a network; see ``mmreg_rt.bundle``."""

    kind: str
    factor: int
    integration_steps: int
    channels: int
    refine: bool | None = None

    @property
    def refined(self) -> bool:
        """True if the solver refines the output by default."""
        return self.kind != RIGID if self.refine is None else self.refine


@dataclass(frozen=True)
class RigidSpec:
    """The window of the networks of a rigid bundle; see ``mmreg_rt.bundle``.

    ``stages`` has, for each network after the first, the file of every precision.
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    stages: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class IntendedUse:
    """The intended use of a network; ranges in mm."""

    modalities: tuple[tuple[str, ...], tuple[str, ...]] | None
    anatomy: str
    spacing_mm: tuple[float, float]
    field_of_view_mm: tuple[float, float]


@dataclass(frozen=True)
class Golden:
    """The file of the golden pair, and the largest deviation for each precision, in mm."""

    file: str
    limit_mm: Mapping[str, float]


@dataclass(frozen=True)
class FileFacts:
    """Checksum and size of a file."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """A manifest with checked values."""

    name: str
    version: str
    method: str
    dims: int
    licence: str
    card: str
    output: OutputSpec
    preprocess: PreprocessSpec
    intended_use: IntendedUse
    precisions: Mapping[str, str]
    golden: Golden
    parity: Mapping[str, Any]
    files: Mapping[str, FileFacts]
    rigid: RigidSpec | None = None
    most_voxels: int | None = None

    @property
    def stages(self) -> tuple[Mapping[str, str], ...]:
        """Files by precision, for each network in the order in which they run."""
        return (self.precisions, *(self.rigid.stages if self.rigid else ()))

    def as_dict(self) -> dict[str, Any]:
        """Return the manifest as plain data; ``parse_manifest`` reads its JSON."""
        content = {"format": FORMAT, **asdict(self)}
        for optional in ("rigid", "most_voxels"):
            if content[optional] is None:
                del content[optional]
        if self.output.refine is None:
            del content["output"]["refine"]
        return content


def parse_manifest(data: bytes) -> Manifest:
    """Parse the bytes of a manifest.

    Raises:
        BundleError: It is not JSON, or a key or value is not valid.
    """
    top = StrictObject(json_of(data), "the manifest")
    name = top.text("format")
    if name != FORMAT:
        raise BundleError(
            "MMREG_E_BUNDLE_FORMAT",
            f"This version reads the format {FORMAT!r}; found {name[:80]!r}. Export the model again, or "
            "update mmreg_rt.",
        )
    dims = top.whole("dims", 2, 3)
    precisions = _precisions(top.value("precisions", dict), "'precisions'")
    output = _output(top, dims)
    manifest = Manifest(
        name=top.name("name"),
        version=top.name("version"),
        method=top.name("method"),
        dims=dims,
        licence=top.text("licence"),
        card=top.name("card"),
        output=output,
        preprocess=_preprocess(top),
        intended_use=_intended_use(top),
        precisions=precisions,
        golden=_golden(top, precisions),
        parity=_parity(top.value("parity", dict), "parity"),
        files=_files(top),
        rigid=_rigid(top, precisions) if output.kind == RIGID else None,
        most_voxels=top.whole("most_voxels", 1, 1 << 53) if top.has("most_voxels") else None,
    )
    top.done()
    _check_files(manifest)
    return manifest


def _output(top: StrictObject, dims: int) -> OutputSpec:
    keys = StrictObject(top.value("output", dict), "'output'")
    kind = keys.text("kind")
    if kind not in KINDS:
        keys.refuse("kind", f"one of {', '.join(KINDS)}", kind)
    steps = (1, MAX_INTEGRATION_STEPS) if kind == "velocity" else (0, 0)
    channels = (dims, dims) if kind in FIELDS else (1, MAX_CHANNELS)
    if kind == RIGID:
        channels = (6, 6)
        if dims != 3:
            keys.refuse("kind", "that of a field or descriptor in 2-D", kind)
    spec = OutputSpec(
        kind=kind,
        factor=keys.whole("factor", 1, 1 if kind == RIGID else 2),
        integration_steps=keys.whole("integration_steps", *steps),
        channels=keys.whole("channels", *channels),
        refine=keys.value("refine", bool) if keys.has("refine") else None,
    )
    keys.done()
    if spec.refine is not None and kind not in FIELDS:
        keys.refuse("refine", f"left out except for {' and '.join(FIELDS)}", spec.refine)
    return spec


def _preprocess(top: StrictObject) -> PreprocessSpec:
    try:
        return PreprocessSpec.from_dict(top.value("preprocess", dict))
    except InputError as reason:
        raise BundleError(
            "MMREG_E_MANIFEST_VALUE", f"'preprocess' in the manifest cannot be used. {reason.args[0]}"
        ) from reason


def _intended_use(top: StrictObject) -> IntendedUse:
    keys = StrictObject(top.value("intended_use", dict), "'intended_use'")
    modalities = keys.value("modalities", list, type(None))
    use = IntendedUse(
        modalities=None if modalities is None else _modalities(keys, modalities),
        anatomy=keys.text("anatomy"),
        spacing_mm=keys.pair_mm("spacing_mm"),
        field_of_view_mm=keys.pair_mm("field_of_view_mm"),
    )
    keys.done()
    return use


def _modalities(keys: StrictObject, lists: list[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    expected = "two lists of names, for the fixed and the moving scan"
    if len(lists) != 2 or not all(isinstance(names, list) and 0 < len(names) <= 20 for names in lists):
        keys.refuse("modalities", expected, lists)
    if not all(
        isinstance(name, str) and 0 < len(name) <= 40 and name.isprintable() for name in sum(lists, [])
    ):
        keys.refuse("modalities", expected, lists)
    return tuple(lists[0]), tuple(lists[1])


def _precisions(values: dict[str, Any], where: str) -> dict[str, str]:
    keys = StrictObject(values, where)
    files = {name: keys.name(name) for name in PRECISIONS if name == "fp32" or name in values}
    keys.done()
    if len({*files.values()}) != len(files) or not all(file.endswith(".onnx") for file in files.values()):
        keys.refuse("precisions", "one .onnx file for each", files)
    return files


def _rigid(top: StrictObject, precisions: Mapping[str, str]) -> RigidSpec:
    keys = StrictObject(top.value("rigid", dict), "'rigid'")
    size, spacing_mm = keys.value("size", list), keys.value("spacing_mm", list)
    whole = len(size) == 3 and all(type(n) is int and 1 <= n <= MAX_WINDOW for n in size)
    if not whole or math.prod(size) > MAX_WINDOW_VOXELS:
        keys.refuse("size", f"three whole numbers of voxels, {MAX_WINDOW_VOXELS} in all at most", size)
    low, high = WINDOW_SPACING_MM
    if len(spacing_mm) != 3 or not all(is_number(mm) and low <= mm <= high for mm in spacing_mm):
        keys.refuse("spacing_mm", f"three numbers from {low:g} to {high:g} mm", spacing_mm)
    stages = keys.value("stages", list)
    if len(stages) >= MAX_STAGES:
        keys.refuse("stages", f"at most {MAX_STAGES - 1} further networks", stages)
    further = tuple(_precisions(stage, "'stages' in 'rigid'") for stage in stages)
    keys.done()
    files = [file for stage in (precisions, *further) for file in stage.values()]
    if len({*files}) != len(files) or any({*stage} != {*precisions} for stage in further):
        keys.refuse("stages", "files of their own, in the precisions of the first network", stages)
    return RigidSpec((size[0], size[1], size[2]), tuple(float(mm) for mm in spacing_mm), further)  # type: ignore[arg-type]


def _golden(top: StrictObject, precisions: Mapping[str, str]) -> Golden:
    keys = StrictObject(top.value("golden", dict), "'golden'")
    file = keys.name("file")
    limit = keys.value("limit_mm", int, float, dict)
    limits = limit if isinstance(limit, dict) else dict.fromkeys(precisions, limit)
    if {*limits} - {"bf16"} != {*precisions} or not all(
        is_number(x) and 0 < x <= MAX_MM for x in limits.values()
    ):
        keys.refuse("limit_mm", "a number above 0, or one for each precision", limit)
    keys.done()
    return Golden(file, {name: float(x) for name, x in limits.items()})


def _parity(values: dict[str, Any], where: str, depth: int = 0) -> dict[str, Any]:
    """Check named numbers, or groups of them."""
    for name, value in values.items():
        if isinstance(value, dict) and depth < 2:
            _parity(value, f"{where}.{name[:40]}", depth + 1)
        elif not is_number(value) or len(name) > 100:
            raise BundleError(
                "MMREG_E_MANIFEST_TYPE",
                f"{where[:100]} in the manifest must hold finite numbers by name; found {short_repr(value)}. "
                "Correct it.",
            )
    return values


def _files(top: StrictObject) -> dict[str, FileFacts]:
    files = {}
    for name, facts in top.value("files", dict).items():
        if not NAME.fullmatch(name) or len(name) > 100:
            top.refuse("files", "named by letters, digits, '_', '-' and single dots", name)
        keys = StrictObject(facts, f"'files' of {name!r}")
        sha256 = keys.text("sha256")
        if not _SHA256.fullmatch(sha256):
            keys.refuse("sha256", "64 hexadecimal digits in lower case", sha256)
        files[name] = FileFacts(sha256, keys.whole("bytes", 1, MAX_MODEL_BYTES))
        keys.done()
    return files


def _check_files(manifest: Manifest) -> None:
    """Raise unless every named file is declared, and no larger than its kind may be."""
    models = {file for stage in manifest.stages for file in stage.values()}
    for name in (manifest.card, manifest.golden.file, *models):
        if name not in manifest.files:
            raise BundleError(
                "MMREG_E_MANIFEST_VALUE",
                f"The manifest names {name!r}, which is not among its 'files'. Write bundles with "
                "write_bundle.",
            )
    for name, facts in manifest.files.items():
        limit = MAX_OTHER_BYTES
        if name in models:
            limit = MAX_MODEL_BYTES
        elif name == manifest.golden.file:
            limit = MAX_GOLDEN_BYTES
        if facts.bytes > limit:
            raise BundleError(
                "MMREG_E_BUNDLE_TOO_LARGE",
                f"{name!r} may have {limit} bytes; the manifest declares {facts.bytes}. Make it smaller.",
            )
