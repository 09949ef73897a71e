"""A trained method becomes a bundle: exported, compared on every backend that is here, packed."""

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
from .parity import MOST_MM, Parity, ParityError, as_numbers, compare, in_torch, network_inputs
from .precision import half, half_stored, quantised, rounded

if TYPE_CHECKING:
    from mmreg_rt.backends import Session
    from mmreg_rt.geometry import Array
    from mmreg_train.methods import Method

FILES = {"fp32": "net.onnx", "fp16": "net.fp16.onnx", "int8": "net.int8.onnx"}
# How far a backend may be from the golden pair: MARGIN times as far as the furthest was at export, within
# limits. Another CPU may be further off than those that were compared: the golden pair of masr is off by
# 0.00035 where fp16 is computed in float32, by 0.0021 where the CPU has half arithmetic; fp32 and bf16 differ
# by 3 % from AVX2 to AMX.
MARGIN, LEAST_MM = 8.0, 0.001
Say = Callable[[str], None]


@dataclass(frozen=True)
class Identity:
    """What the manifest says of a bundle besides its network."""

    name: str
    version: str = "1"
    licence: str = "LicenseRef-unstated"
    anatomy: str = "any"
    modalities: tuple[Sequence[str], Sequence[str]] | None = None
    spacing_mm: tuple[float, float] = (0.1, 10.0)
    field_of_view_mm: tuple[float, float] = (1.0, 1000.0)
    refine: bool | None = None  # of a field: whether the solver goes on from it where nobody says otherwise


@dataclass(frozen=True)
class Request:
    """What to make of a method.

    Args:
        method: With its weights.
        later: Of a rigid method, those whose networks run after its own, on the pair as it leaves it.
        spec: What is done to scans before the network sees them.
        identity: For the manifest.
        card: Model card, Markdown.
        precisions: Of ``FILES``; fp32 is always there.
        half_weights: Round the weights of ``method``, in place, and store those of fp32 as half floats; every
            precision is then compared with the rounded network.
        pairs: To calibrate on and to compare with; generated ones where there are none.
        threads: For the comparison; 0 is as many as this process may use.
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

    @property
    def stages(self) -> list[Method]:
        """All methods, in the order in which they run."""
        return [self.method, *self.later]


def pack(request: Request, path: Path, say: Say = print) -> Bundle:
    """Export, compare and write; nothing is written where a limit is passed.

    Raises:
        InputError: The identity says whether to refine a field, and the network gives none.
        ParityError: A backend is further from torch than allowed.
        BundleError: What was exported is no bundle.
    """
    _check_refine(request)
    for method in request.stages if request.half_weights else ():
        rounded(method.network())
    golden = _golden_pair(request)
    answers = [_answer(method, golden) for method in request.stages]
    first = request.method
    pairs = list(request.pairs) or generated_pairs(first.dims, request.spec.multiple, 3, first.window)
    say("exporting")
    models = [_models(request, method, pairs) for method in request.stages]
    files = {_file(precision, n): model for n, made in enumerate(models) for precision, model in made.items()}
    parity, offered = [], [*FILES, "bf16"]
    for stage, (method, made) in enumerate(zip(request.stages, models, strict=True)):
        check = Golden(method, golden, answers[stage], request.spec.spacing_mm or 1.0)
        if request.later:
            say(f"network {stage + 1}")
        found = _compared(request, check, made, pairs, say)
        offered = [
            name for name in offered if name in {each.precision for each in found if _holds(each, say)}
        ]
        parity.append(found)
    files |= {
        "card.md": request.card.encode(),
        "golden.npz": golden_bytes(
            golden.fixed, golden.moving, np.concatenate(answers) if first.window else answers[0]
        ),
    }
    bundle = write_bundle(path, _manifest(request, models[0], parity, "bf16" in offered), files)
    say(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return bundle


def _check_refine(request: Request) -> None:
    kind = request.method.output_kind
    if request.identity.refine is not None and kind not in FIELDS:
        raise InputError(
            "MMREG_E_REFINE",
            f"Only of a network that gives a field a bundle says whether the solver goes on from it; that of "
            f"{request.method.name!r} gives the kind {kind!r}. Leave --refine and --no-refine out.",
        )


def _file(precision: str, stage: int) -> str:
    """``net.onnx``, and of a later network ``net.stage2.onnx``."""
    name = FILES[precision]
    return name.replace("net", f"net.stage{stage + 1}", 1) if stage else name


@dataclass(frozen=True)
class Golden:
    """The golden pair of one network, and what it must come out as."""

    method: Method
    pair: Pair
    answer: Array
    spacing_mm: float

    def off(self, session: Session) -> float:
        """Return how far a session is from it, as the self-test of the bundle measures."""
        window = self.method.window
        found = np.array(session.infer(network_inputs(self.method, self.pair)[0]))
        return distance(
            found[0],
            self.answer[0].astype(np.float32),
            self.method.output_kind,
            self.spacing_mm,
            None if window is None else (window.size, window.spacing_mm),
        )


def _answer(method: Method, golden: Pair) -> Array:
    """What a network makes of the golden pair."""
    found = in_torch(method, network_inputs(method, golden)[0])
    # parts of unit vectors: half precision is far within limits
    return found.astype(np.float16) if method.output_kind == "descriptor" else found


def _golden_pair(request: Request) -> Pair:
    """As thin as the network takes it: the pair is a part of every bundle."""
    window = request.method.window
    pair = generated_pairs(request.method.dims, request.spec.multiple, 1, window)[0]
    if window is not None:
        return pair
    thin = slice(request.spec.multiple)  # all of a slice along the first axis
    return replace(pair, fixed=pair.fixed[thin, thin], moving=pair.moving[thin, thin])


def _models(request: Request, method: Method, pairs: Sequence[Pair]) -> dict[str, bytes]:
    models = {"fp32": export_network(method)}
    if "fp16" in request.precisions:
        models["fp16"] = half(models["fp32"])
    if "int8" in request.precisions:
        inputs = [run for pair in pairs for run in network_inputs(method, pair)]
        models["int8"] = quantised(models["fp32"], inputs)
    if request.half_weights:
        models["fp32"] = half_stored(models["fp32"])
    return models


def _compared(
    request: Request, golden: Golden, models: Mapping[str, bytes], pairs: Sequence[Pair], say: Say
) -> list[Parity]:
    """On every backend of this machine, in every precision that it has."""
    made = []
    for name in ON_CPU:
        backend = by_name(name)
        for precision in (*models, "bf16"):
            if reason := backend.unavailable_reason("cpu", precision):
                say(f"{name:12} {precision}  not compared: {reason}")
                continue
            model = models.get(precision, models["fp32"])
            session = backend.load(model, precision=precision, threads=request.threads, device="cpu")
            try:
                found = replace(compare(golden.method, session, pairs), golden=golden.off(session))
            finally:
                session.close()
            say(f"{name:12} {precision}  {found}")
            made.append(found)
    return made


def _holds(found: Parity, say: Say) -> bool:
    """Whether it is within its limits. What was asked for must be; bf16 was not, and is left out otherwise.

    Raises:
        ParityError: It was asked for and is not.
    """
    try:
        found.check()
    except ParityError as reason:
        if found.precision != "bf16":
            raise
        say(f"bf16 is not offered: {reason}")
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
    """Return how far the golden pair may be off in a precision, by how far it is in what was compared.

    A precision that no backend here runs has the most that any may have.
    """
    off = [found.golden for stage in parity for found in stage if found.precision == precision]
    if not off:
        return MOST_MM[precision]
    return float(np.clip(MARGIN * max(off), LEAST_MM, MOST_MM[precision]))


def _figures(parity: Sequence[Sequence[Parity]]) -> dict[str, Any]:
    """Of every network; those of later ones under ``<backend>_stage2`` and so on."""
    made = as_numbers(parity[0])
    for stage, found in enumerate(parity[1:], 2):
        made |= {f"{backend}_stage{stage}": figures for backend, figures in as_numbers(found).items()}
    return made


def _window(request: Request, precisions: Sequence[str]) -> dict[str, Any]:
    """The key ``rigid`` of the manifest, where there is one."""
    window = request.method.window
    if window is None:
        return {}
    stages = [{name: _file(name, n) for name in precisions} for n in range(1, len(request.stages))]
    return {"rigid": {"size": list(window.size), "spacing_mm": list(window.spacing_mm), "stages": stages}}
