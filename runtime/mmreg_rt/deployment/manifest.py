"""The manifest of a deployment: every key, what its value may be, and which values belong together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bundle.manifest import MAX_STAGES, RIGID
from ..errors import BundleError
from ..preprocess.spec import INTENSITIES
from . import grammar
from . import value_kinds as kinds

FORMAT = "mmreg-deployment/1"
ENGINES = {
    "openvino": ("network.xml", "network.bin"),
    "onnxruntime": ("network.onnx",),
    "tensorrt": ("network.plan",),  # which libmmreg runs, and this package only reads
}
OUTPUTS = ("displacement", "velocity", "descriptor", RIGID)
NUMBERS_OF_MOTION = 6
PRECISIONS = ("fp32", "bf16", "fp16", "int8")
ANY = "any"  # of cpu
MAX_FILE_BYTES = (1 << 31) - 1
_AGAIN = "Write the folder again with `mmreg deploy` of this version, or copy it again from its source."
LIMIT_MM, TIME_MS = (1e-9, 1e3), (1e-6, 1e9)
MAX_MEMORY_MB = 1 << 20
LEAST_VOLUME = 1e-3  # of the axes of a grid over the product of their lengths


@dataclass(frozen=True)
class FileFacts:
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Values of a manifest, checked; ``docs/deployment_folder.md`` has their meaning."""

    name: str
    version: str
    bundle_sha256: str
    mmreg_version: str
    engine: str
    engine_version: str
    cpu: str
    precision: str
    threads: int
    output: str
    dims: int
    fixed_shape: tuple[int, int, int]
    fixed_linear: tuple[float, ...]
    largest_moving_shape: tuple[int, int, int]
    network_shape: tuple[int, int, int]
    network_to_fixed: tuple[float, ...]
    intensity: str
    intensity_low: float
    intensity_high: float
    factor: int
    integration_steps: int
    planes: int
    stages: int
    refine: int
    golden_limit_mm: float
    expected_ms: tuple[float, ...]
    slack_ms: float
    memory_mb: int
    files: Mapping[str, FileFacts]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs of each network."""
        return ("image",) if self.output == "descriptor" else ("fixed", "moving")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of each input of a network."""
        return (1, 1, *self.network_shape[3 - self.dims :])

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output of a network."""
        if self.output == RIGID:
            return (1, NUMBERS_OF_MOTION)
        channels = self.planes if self.output == "descriptor" else self.dims
        return (1, channels, *(-(-n // self.factor) for n in self.network_shape[3 - self.dims :]))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Spacing of the network's grid along axes 0, 1, 2, in mm."""
        linear = np.reshape(self.fixed_linear, (3, 3)) @ np.reshape(self.network_to_fixed, (3, 4))[:, :3]
        first, second, third = np.linalg.norm(linear, axis=0)
        return float(first), float(second), float(third)


def network_file(file: str, stage: int) -> str:
    """Return the name of a file of a network: ``network.xml``, ``network2.xml`` of the second."""
    stem, _, ending = file.partition(".")
    return f"{stem}{stage + 1 if stage else ''}.{ending}"


def network_files(engine: str, stage: int) -> dict[str, str]:
    """Return the names of the files of a network in a deployment, by the names that its engine has."""
    return {file: network_file(file, stage) for file in ENGINES[engine]}


def golden_files(output: str) -> tuple[str, ...]:
    """Return the names of the golden files for a kind of output."""
    names = ("golden_fixed.f32", "golden_moving.f32", "golden_output.f32")
    return names if output != "descriptor" else (names[0], names[2])


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return the bytes of ``deployment.txt``; ``parse_manifest`` reads them."""
    lines = [("format", FORMAT)]
    lines += [(key, kinds.as_text(getattr(manifest, key))) for key in _VALUES]
    lines += [("file", f"{name} {facts.bytes} {facts.sha256}") for name, facts in manifest.files.items()]
    return grammar.encoded(lines)


def parse_manifest(raw: bytes) -> Manifest:
    """Parse the bytes of ``deployment.txt``.

    Raises:
        BundleError: A line, key or value is not valid, or the checksum is wrong.
    """
    lines = grammar.parsed(raw)
    if (found := dict(reversed(lines)).get("format", FORMAT)) != FORMAT:
        raise BundleError(
            "MMREG_E_DEPLOYMENT_FORMAT",
            f"This version reads the format {FORMAT!r}; deployment.txt declares {found[:80]!r}. Write the "
            "folder again with `mmreg deploy` of this version, or update mmreg_rt.",
        )
    texts = _by_key(lines)
    values = {key: _value(key, texts[key], parse) for key, parse in _VALUES.items()}
    manifest = Manifest(**values, files=_files([text for key, text in lines if key == "file"]))
    _value(grammar.CHECKSUM, texts[grammar.CHECKSUM], kinds.sha256)
    _check_agreement(manifest)
    grammar.check_sum(raw, lines)
    return manifest


def _by_key(lines: grammar.Lines) -> dict[str, str]:
    """Return values by key, but those of files."""
    known, keys = {"format", *_VALUES, "file", grammar.CHECKSUM}, [key for key, _ in lines]
    if unknown := [key for key in keys if key not in known]:
        raise BundleError(
            "MMREG_E_DEPLOYMENT_KEY_UNKNOWN",
            f"deployment.txt has the key {unknown[0]!r}, which this version does not know. {_AGAIN}",
        )
    if twice := [key for key in known - {"file"} if keys.count(key) > 1]:
        raise BundleError(
            "MMREG_E_DEPLOYMENT_KEY_TWICE", f"deployment.txt has the key {min(twice)!r} twice. {_AGAIN}"
        )
    if missing := sorted(known - {*keys}):
        raise BundleError(
            "MMREG_E_DEPLOYMENT_KEY_MISSING", f"deployment.txt lacks {', '.join(missing)}. {_AGAIN}"
        )
    return dict(lines)


def _value(key: str, text: str, parse: kinds.Parse) -> Any:
    try:
        return parse(text)
    except ValueError as expected:
        raise _refusal(key, str(expected), text) from None


def _refusal(key: str, expected: str, found: str) -> BundleError:
    return BundleError(
        "MMREG_E_DEPLOYMENT_VALUE",
        f"{key!r} in deployment.txt must be {expected}; found {found[:80]!r}. {_AGAIN}",
    )


def _files(texts: list[str]) -> dict[str, FileFacts]:
    files: dict[str, FileFacts] = {}
    for text in texts:
        try:
            name, size, sha256 = text.split(" ")
            facts = FileFacts(kinds.whole(1, MAX_FILE_BYTES)(size), kinds.sha256(sha256))
            kinds.word(name)
        except ValueError:
            raise _refusal("file", "a name, a size in bytes and a SHA-256", text) from None
        if name in files:
            raise BundleError(
                "MMREG_E_DEPLOYMENT_KEY_TWICE", f"deployment.txt declares the file {name} twice. {_AGAIN}"
            )
        files[name] = facts
    return files


def _check_agreement(manifest: Manifest) -> None:
    """Check values that depend on each other."""
    if (manifest.engine, manifest.precision) == ("onnxruntime", "bf16"):
        raise _refusal("precision", "one that onnxruntime computes in", manifest.precision)
    for key in ("fixed_shape", "largest_moving_shape", "network_shape"):
        shape = getattr(manifest, key)
        if manifest.dims == 2 and shape[0] != 1:
            raise _refusal(key, "the shape of a slice, 1 first", kinds.as_text(shape))
    _check_kind(manifest)
    low, high = manifest.intensity_low, manifest.intensity_high
    ends = (0.0, 100.0) if manifest.intensity == "percentile" else (-kinds.MAX_NUMBER, kinds.MAX_NUMBER)
    if manifest.intensity != "minmax" and not ends[0] <= low < high <= ends[1]:
        raise _refusal(
            "intensity_high", f"above intensity_low, from {ends[0]:g} to {ends[1]:g}", f"{low:g} {high:g}"
        )
    _check_grid(manifest)
    _check_files(manifest)


def _check_files(manifest: Manifest) -> None:
    """Check that the declared files are those of such a deployment, and the sizes of golden files."""
    networks = [network_files(manifest.engine, stage).values() for stage in range(manifest.stages)]
    of_engine = (*itertools.chain(*networks), *golden_files(manifest.output))
    if surplus := sorted({*manifest.files} - {*of_engine}):
        raise _refusal("file", f"one of {', '.join(of_engine)}", surplus[0])
    if missing := [name for name in of_engine if name not in manifest.files]:
        raise BundleError(
            "MMREG_E_DEPLOYMENT_KEY_MISSING",
            f"deployment.txt declares no file {', '.join(missing)}. {_AGAIN}",
        )
    sizes = dict.fromkeys(golden_files(manifest.output), 4 * math.prod(manifest.input_shape))
    sizes["golden_output.f32"] = 4 * manifest.stages * math.prod(manifest.output_shape)
    for name, size in sizes.items():
        if manifest.files[name].bytes != size:
            raise _refusal("file", f"{name} of {size} bytes", str(manifest.files[name].bytes))


def _check_kind(manifest: Manifest) -> None:
    steps = (1, 12) if manifest.output == "velocity" else (0, 0)
    planes = (1, 4096) if manifest.output == "descriptor" else (0, 0)
    for key, (low, high) in (("integration_steps", steps), ("planes", planes)):
        value = getattr(manifest, key)
        if not low <= value <= high:
            raise _refusal(key, f"from {low} to {high} for a {manifest.output}", str(value))
    if manifest.output == RIGID and (manifest.dims, manifest.factor) != (3, 1):
        raise _refusal("dims", "3 for a rigid output, and factor 1", f"{manifest.dims}, {manifest.factor}")
    if manifest.output != RIGID and manifest.stages != 1:
        raise _refusal("stages", f"1 for a {manifest.output}", str(manifest.stages))
    if len(manifest.expected_ms) != manifest.stages:
        raise _refusal("expected_ms", f"{manifest.stages} numbers", kinds.as_text(manifest.expected_ms))


def _check_grid(manifest: Manifest) -> None:
    """Check that the axes of both grids span space."""
    for key, columns in (("fixed_linear", 3), ("network_to_fixed", 4)):
        numbers = getattr(manifest, key)
        linear = np.reshape(numbers, (3, columns))[:, :3]
        lengths = np.linalg.norm(linear, axis=0)
        if not (lengths > 0).all() or abs(np.linalg.det(linear / lengths)) < LEAST_VOLUME:
            raise _refusal(key, "the axes of a grid, none along others", kinds.as_text(numbers))


_VALUES: dict[str, kinds.Parse] = {
    "name": kinds.word,
    "version": kinds.word,
    "bundle_sha256": kinds.sha256,
    "mmreg_version": kinds.word,
    "engine": kinds.one_of(*ENGINES),
    "engine_version": kinds.word,
    "cpu": kinds.word,
    "precision": kinds.one_of(*PRECISIONS),
    "threads": kinds.whole(1, 1024),
    "output": kinds.one_of(*OUTPUTS),
    "dims": kinds.whole(2, 3),
    "fixed_shape": kinds.shape,
    "fixed_linear": kinds.numbers(9),
    "largest_moving_shape": kinds.shape,
    "network_shape": kinds.shape,
    "network_to_fixed": kinds.numbers(12),
    "intensity": kinds.one_of(*INTENSITIES),
    "intensity_low": kinds.number,
    "intensity_high": kinds.number,
    "factor": kinds.whole(1, 2),
    "integration_steps": kinds.whole(0, 12),
    "planes": kinds.whole(0, 4096),
    "stages": kinds.whole(1, MAX_STAGES),
    "refine": kinds.whole(0, 1),
    "golden_limit_mm": kinds.between(*LIMIT_MM),
    "expected_ms": kinds.several(kinds.between(*TIME_MS), MAX_STAGES),
    "slack_ms": kinds.between(*TIME_MS),
    "memory_mb": kinds.whole(1, MAX_MEMORY_MB),
}
