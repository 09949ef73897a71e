"""Packing of a trained method: export, comparison on every available backend, bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmreg_rt.backends import ON_CPU, by_name
from mmreg_rt.bundle import Bundle, golden_bytes, write_bundle
from mmreg_rt.bundle.golden import distance
from mmreg_rt.bundle.manifest import FIELDS
from mmreg_rt.errors import InputError
from mmreg_rt.preprocess import PreprocessSpec

from .calibration import Pair, generated_pairs
from .onnx import export_network
from .parity import MOST_MM, Parity, ParityError, compare, in_torch, network_inputs, parity_table
from .precision import quantise, round_weights, store_half, to_half

if TYPE_CHECKING:
    from mmreg_rt.backends import Session
    from mmreg_rt.geometry import Array
    from mmreg_train.methods import Method

FILES = {"fp32": "net.onnx", "fp16": "net.fp16.onnx", "int8": "net.int8.onnx"}
# Largest error of a backend on the golden pair: MARGIN times the largest error at export, within limits.
# Another CPU may have a larger error than the compared ones: on the golden pair of masr it is 0.00035 where
# fp16 is computed in float32, 0.0021 where the CPU has half arithmetic; fp32 and bf16 differ by 3 % from AVX2
# to AMX.
MARGIN, LEAST_MM = 8.0, 0.001
Log = Callable[[str], None]


@dataclass(frozen=True)
class Identity:
    """Entries of the manifest that do not depend on the network.

    Attributes:
        name, version, licence, anatomy: Entries of the bundle's manifest.
        modalities: Names of the fixed and of the moving modality.
        spacing_mm, field_of_view_mm: Ranges of suitable scans.
        refine: For a field, whether the solver refines it by default; None leaves it to the runtime.
    """

    name: str
    version: str = "1"
    licence: str = "LicenseRef-unstated"
    anatomy: str = "any"
    modalities: tuple[Sequence[str], Sequence[str]] | None = None
    spacing_mm: tuple[float, float] = (0.1, 10.0)
    field_of_view_mm: tuple[float, float] = (1.0, 1000.0)
    refine: bool | None = None


@dataclass(frozen=True)
class Request:
    """A method to pack, and how.

    Attributes:
        method: With its weights.
        spec: Preprocessing of its inputs.
        identity: Entries of the manifest.
        card: Model card, Markdown.
        precisions: Keys of ``FILES``; fp32 is always included.
        half_weights: Round the weights of ``method``, in place, and store those of fp32 as half floats; every
            precision is then compared with the rounded network.
        pairs: For calibration and comparison; generated if empty.
        threads: For the comparison; 0 uses all available to the process.
        later: Later stages of a rigid method, which get the pair as aligned by the previous one.
        private_key: Ed25519 key to sign the bundle with, 32 raw bytes or PEM.
    """

    method: Method
    spec: PreprocessSpec
    identity: Identity
    card: str
    precisions: Sequence[str] = ("fp32",)
    half_weights: bool = False
    pairs: Sequence[Pair] = field(default_factory=list)
    threads: int = 0
    later: Sequence[Method] = ()
    private_key: bytes | None = None

    @property
    def stages(self) -> list[Method]:
        """All methods, in running order."""
        return [self.method, *self.later]


def pack(request: Request, path: Path, log: Log = print) -> Bundle:
    """Export, compare and write a bundle; nothing is written if a limit is exceeded.

    Args:
        request: The method, and how to pack it.
        path: The bundle to write.
        log: Called with each line of progress.

    Returns:
        The bundle written.

    Raises:
        InputError: ``refine`` is set, and the network does not output a field.
        ParityError: The difference of a backend from torch exceeds its limit.
        BundleError: The exported bundle is not valid.
    """
    _check_refine(request)
    for method in request.stages if request.half_weights else ():
        round_weights(method.network())
    golden = _golden_pair(request)
    answers = [_answer(method, golden) for method in request.stages]
    first = request.method
    pairs = list(request.pairs) or generated_pairs(first.dims, request.spec.multiple, 3, first.window)
    log("exporting")
    models = [_models(request, method, pairs) for method in request.stages]
    files = {
        _file(precision, n): model
        for n, models_of_stage in enumerate(models)
        for precision, model in models_of_stage.items()
    }
    parity, offered = [], [*FILES, "bf16"]
    for stage, (method, models_of_stage) in enumerate(zip(request.stages, models, strict=True)):
        check = Golden(method, golden, answers[stage], request.spec.spacing_mm or 1.0)
        if request.later:
            log(f"network {stage + 1}")
        comparisons = _compare_all(request, check, models_of_stage, pairs, log)
        accepted = {each.precision for each in comparisons if _within_limits(each, log)}
        offered = [name for name in offered if name in accepted]
        parity.append(comparisons)
    files |= {
        "card.md": request.card.encode(),
        "golden.npz": golden_bytes(
            golden.fixed, golden.moving, np.concatenate(answers) if first.window else answers[0]
        ),
    }
    manifest = _manifest(request, models[0], parity, "bf16" in offered)
    bundle = write_bundle(path, manifest, files, private_key=request.private_key)
    log(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return bundle


def _check_refine(request: Request) -> None:
    kind = request.method.output_kind
    if request.identity.refine is not None and kind not in FIELDS:
        raise InputError(
            "MMREG_E_REFINE",
            f"--refine applies only to networks that output a field; that of {request.method.name!r} outputs "
            f"a {kind}. Remove --refine or --no-refine.",
        )


def _file(precision: str, stage: int) -> str:
    """Return ``net.onnx``, or ``net.stage2.onnx`` for a later stage."""
    name = FILES[precision]
    return name.replace("net", f"net.stage{stage + 1}", 1) if stage else name


@dataclass(frozen=True)
class Golden:
    """The golden pair of a network, and the expected output."""

    method: Method
    pair: Pair
    answer: Array
    spacing_mm: float

    def error(self, session: Session) -> float:
        """Return the error of a session in mm, as measured by the self-test of the bundle."""
        window = self.method.window
        output = np.array(session.infer(network_inputs(self.method, self.pair)[0]))
        return distance(
            output[0],
            self.answer[0].astype(np.float32),
            self.method.output_kind,
            self.spacing_mm,
            None if window is None else (window.size, window.spacing_mm),
        )


def _answer(method: Method, golden: Pair) -> Array:
    """Return the output of a network for the golden pair."""
    output = in_torch(method, network_inputs(method, golden)[0])
    # components of unit vectors: half precision is far within limits
    return output.astype(np.float16) if method.output_kind == "descriptor" else output


def _golden_pair(request: Request) -> Pair:
    """Return a pair as thin as the network allows, as it is part of every bundle."""
    window = request.method.window
    pair = generated_pairs(request.method.dims, request.spec.multiple, 1, window)[0]
    if window is not None:
        return pair
    thin = slice(request.spec.multiple)  # along the first two axes; slices keep axis 0
    return replace(pair, fixed=pair.fixed[thin, thin], moving=pair.moving[thin, thin])


def _models(request: Request, method: Method, pairs: Sequence[Pair]) -> dict[str, bytes]:
    models = {"fp32": export_network(method)}
    if "fp16" in request.precisions:
        models["fp16"] = to_half(models["fp32"])
    if "int8" in request.precisions:
        inputs = [run for pair in pairs for run in network_inputs(method, pair)]
        models["int8"] = quantise(models["fp32"], inputs)
    if request.half_weights:
        models["fp32"] = store_half(models["fp32"])
    return models


def _compare_all(
    request: Request, golden: Golden, models: Mapping[str, bytes], pairs: Sequence[Pair], log: Log
) -> list[Parity]:
    """Compare on every backend of this machine, in every precision it supports."""
    comparisons = []
    for name in ON_CPU:
        backend = by_name(name)
        for precision in (*models, "bf16"):
            if reason := backend.unavailable_reason("cpu", precision):
                log(f"{name:12} {precision}  not compared: {reason}")
                continue
            model = models.get(precision, models["fp32"])
            session = backend.load(model, precision=precision, threads=request.threads, device="cpu")
            try:
                parity = replace(compare(golden.method, session, pairs), golden=golden.error(session))
            finally:
                session.close()
            log(f"{name:12} {precision}  {parity}")
            comparisons.append(parity)
    return comparisons


def _within_limits(parity: Parity, log: Log) -> bool:
    """Return whether the differences are within limits; bf16, which is optional, may exceed them.

    Raises:
        ParityError: A requested precision exceeds its limits.
    """
    try:
        parity.check()
    except ParityError as reason:
        if parity.precision != "bf16":
            raise
        log(f"bf16 is not offered: {reason}")
        return False
    return True


def _manifest(
    request: Request, models: Mapping[str, bytes], parity: Sequence[Sequence[Parity]], in_bf16: bool
) -> dict[str, Any]:
    method, identity = request.method, request.identity
    limits = {name: limit_mm(name, parity) for name in (*models, *(["bf16"] if in_bf16 else []))}
    return {
        "name": identity.name,
        "version": identity.version,
        "method": method.name,
        "dims": method.dims,
        "licence": identity.licence,
        "card": "card.md",
        "output": {
            "kind": method.output_kind,
            "factor": method.factor,
            "integration_steps": method.integration_steps,
            "channels": method.channels,
            **({} if identity.refine is None else {"refine": identity.refine}),
        },
        "preprocess": request.spec.as_dict(),
        "intended_use": {
            "modalities": identity.modalities,
            "anatomy": identity.anatomy,
            "spacing_mm": list(identity.spacing_mm),
            "field_of_view_mm": list(identity.field_of_view_mm),
        },
        "precisions": {name: FILES[name] for name in models},
        "golden": {"file": "golden.npz", "limit_mm": limits},
        "parity": _figures(parity),
        **_window(request, list(models)),
        **({} if method.most_voxels is None else {"most_voxels": method.most_voxels}),
    }


def limit_mm(precision: str, parity: Sequence[Sequence[Parity]]) -> float:
    """Return the error limit of the golden pair in a precision, from the errors that were measured.

    A precision without a backend on this machine gets the largest limit.
    """
    errors = [each.golden for stage in parity for each in stage if each.precision == precision]
    if not errors:
        return MOST_MM[precision]
    return float(np.clip(MARGIN * max(errors), LEAST_MM, MOST_MM[precision]))


def _figures(parity: Sequence[Sequence[Parity]]) -> dict[str, Any]:
    """Return the figures of every network; those of later stages under ``<backend>_stage2`` and so on."""
    table = parity_table(parity[0])
    for stage, comparisons in enumerate(parity[1:], 2):
        for backend, figures in parity_table(comparisons).items():
            table[f"{backend}_stage{stage}"] = figures
    return table


def _window(request: Request, precisions: Sequence[str]) -> dict[str, Any]:
    """Return the key ``rigid`` of the manifest for methods with a window."""
    window = request.method.window
    if window is None:
        return {}
    stages = [{name: _file(name, n) for name in precisions} for n in range(1, len(request.stages))]
    return {"rigid": {"size": list(window.size), "spacing_mm": list(window.spacing_mm), "stages": stages}}
