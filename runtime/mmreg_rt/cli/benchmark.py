"""``mmreg benchmark``."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..backends import NAMES, PRECISIONS, Session, choose
from .options import FILE, FOLDER, json_option, threads_option

if TYPE_CHECKING:
    from ..backends.session import Port
    from .latency import Output

FORMAT, RESULTS = "mmreg-benchmark/1", ("benchmark.json", "benchmark.svg")
DEFAULT_SIZES = {2: ((256, 256),), 3: ((96, 96, 96),)}
Size = tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """A network to time, out of a bundle or an ONNX file."""

    name: str
    data: bytes
    output: Output


class Sizes(click.ParamType):  # type: ignore[type-arg]  # generic in new versions of click only
    """``96x96x96,160x192x160``."""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Tuples of two or three extents."""
        try:
            sizes = tuple(tuple(int(extent) for extent in size.split("x")) for size in str(value).split(","))
        except ValueError:
            sizes = ()
        if not sizes or any(len(size) not in (2, 3) or min(size) < 1 for size in sizes):
            self.fail(f"{value!r} is no list of sizes such as 96x96x96,160x192x160.", param, ctx)
        return sizes


@click.command()
@click.argument("model")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--backend", type=click.Choice(NAMES), help="By default the first that can run.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--sizes", type=Sizes(), help="Grids to time, as 96x96x96,160x192x160.")
@click.option("--runs", type=click.IntRange(1, 100_000), default=30, show_default=True)
@click.option("--idle", "idle_s", type=click.FloatRange(0, 600), default=1.0, show_default=True,
              help="Seconds of pause before the runs after idling; 0 leaves them out.")  # fmt: skip
@click.option("--kind", type=click.Choice(("velocity", "displacement")),
              help="What an ONNX file gives, to time integrate and warp; a bundle says it.")  # fmt: skip
@click.option("--pair", type=FILE, nargs=2,
              help="FIXED MOVING: time whole registrations of these scans; a bundle is needed.")  # fmt: skip
@click.option("--no-refine", is_flag=True, help="Of --pair: leave out the solver after the network.")
@click.option("--align", type=click.Choice(("none", "rigid", "affine")), default="affine", show_default=True,
              help="Of --pair.")  # fmt: skip
@threads_option
@json_option
@click.option("-o", "--output", "folder", type=FOLDER, help="Folder for benchmark.json and benchmark.svg.")
def benchmark(
    model: str,
    device: str,
    backend: str | None,
    precision: str,
    sizes: tuple[Size, ...] | None,
    runs: int,
    idle_s: float,
    kind: str | None,
    pair: tuple[Path, Path] | None,
    no_refine: bool,
    align: str,
    threads: int | None,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Time MODEL, a bundle or an ONNX file, stage by stage: on random images, or with --pair from two files
    to their transform.

    All times are wall time in this process. The cold start is the first load and inference of the process;
    the percentiles are of the runs after a warm-up of every stage.
    """
    network = open_network(model, precision, kind)
    start = time.perf_counter()
    chosen, passed_over = choose(device, backend, precision)

    def load() -> Session:
        return chosen.load(network.data, precision=precision, threads=threads or 0, device=device)

    with closing(load()) as probe:  # also imports the library: the load timed later is the network's
        imported_s, inputs = time.perf_counter() - start, probe.inputs
    timed: Iterable[tuple[dict[str, Any], list[float]]]
    if pair:
        registrar = {"backend": backend, "precision": precision, "align": align, "refine": not no_refine}
        timed = _registrations(model, {**registrar, "device": device, "threads": threads}, pair, runs, idle_s)
    else:
        timed = _cases(load, inputs, network.output, _chosen(sizes, inputs), runs, idle_s)
    cases, samples = [], []
    for case, totals in timed:
        cases.append(case)
        samples.append((_size(case["size"]), totals))
    found = {
        "format": FORMAT,
        "model": network.name,
        "passed_over": passed_over,
        "ran": cases[0]["ran"],
        "import_and_first_load_ms": imported_s * 1e3,
        "runs": runs,
        "idle_s": idle_s,
        "machine": _machine(),
        "cases": cases,
    }
    if folder is not None:
        _write(found, samples, folder)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(_table(found, samples)))


def open_network(model: str | Path, precision: str, kind: str | None) -> Network:
    """The network of a bundle, by its path or built-in name, or of a plain ONNX file.

    Raises:
        InputError: It cannot be read.
    """
    from ..network import find_bundle
    from .latency import Output

    path = Path(model)
    if path.suffix.lower() == ".onnx":
        return Network(path.name, path.read_bytes(), Output(kind))
    from ..bundle import open_bundle

    bundle = open_bundle(find_bundle(model))
    declared = bundle.manifest.output
    steps = declared.integration_steps
    return Network(path.name, bundle.model_bytes(precision), Output(declared.kind, declared.factor, steps))


def _registrations(
    model: str, settings: dict[str, Any], pair: tuple[Path, Path], runs: int, idle_s: float
) -> Iterator[tuple[dict[str, Any], list[float]]]:
    from ..registrar import Registrar
    from .whole import time_registrations

    if Path(model).suffix.lower() == ".onnx":
        raise click.UsageError("--pair needs a bundle: an ONNX file does not say what it wants of scans.")
    yield time_registrations(lambda: Registrar(model, **settings), pair, runs, idle_s)


def _chosen(sizes: tuple[Size, ...] | None, inputs: tuple[Port, ...]) -> tuple[Size, ...]:
    """The grids to time: those asked for, that of the network, or the usual ones."""
    extents = inputs[0].shape[2:]
    fixed = tuple(extent for extent in extents if extent is not None)
    if sizes is None:
        return (fixed,) if len(fixed) == len(extents) else DEFAULT_SIZES.get(len(extents), ())
    for size in sizes:
        if len(size) != len(extents):
            raise click.UsageError(
                f"The network takes {len(extents)}-D images; {_size(size)} is {len(size)}-D."
            )
    return sizes


def _cases(
    load: Callable[[], Session],
    ports: tuple[Port, ...],
    output: Output,
    sizes: tuple[Size, ...],
    runs: int,
    idle_s: float,
) -> Iterator[tuple[dict[str, Any], list[float]]]:
    """The figures of each size, and its samples of the total. Each has a session of its own."""
    from .latency import cold_start, figures, measure, random_inputs

    names = tuple(port.name for port in ports)
    for size in sizes:
        inputs = random_inputs(names, (1, 1, *size))
        session, cold_s = cold_start(load, inputs)
        samples, after_idle = measure(session, inputs, output, runs, idle_s)
        ran = dict(session.ran)
        session.close()
        yield (
            {
                "size": list(size),
                "ran": ran,
                "cold_start_ms": {stage: seconds * 1e3 for stage, seconds in cold_s.items()},
                "stages_ms": {stage: figures(times) for stage, times in samples.items()},
                "after_idle_ms": [seconds * 1e3 for seconds in after_idle],
                "pairs_per_s": 1 / (sum(samples["total"]) / len(samples["total"])),
            },
            samples["total"],
        )


def _machine() -> dict[str, Any]:
    from ..report import versions

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    load = [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {
        "cpu": names[0] if names else platform.machine(),
        "processors": os.cpu_count(),
        "load": load,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": versions(),
    }


def _table(found: dict[str, Any], samples: list[tuple[str, list[float]]]) -> Iterator[str]:
    """For people: what ran, then a table for each size."""
    from .latency import FIGURES
    from .latency_picture import blocks

    ran = found["ran"]
    yield (
        f"{found['model']}: {ran['backend']} {ran['version']} on {ran['device']}, {ran['precision']} "
        f"({ran['arithmetic']}), {ran['threads']} threads"
    )
    machine = found["machine"]
    yield f"{machine['cpu']}, {machine['processors']} processors, load {machine['load']}"
    yield f"import of the library, and first load: {found['import_and_first_load_ms']:.0f} ms"
    yield from (f"not {name}: {reason}" for name, reason in found["passed_over"].items())
    for case, (title, totals) in zip(found["cases"], samples, strict=True):
        cold = case["cold_start_ms"]
        yield ""
        yield f"{title}, {found['runs']} runs; {case['pairs_per_s']:.2f} pairs/s"
        yield f"{'ms':<14}" + "".join(f"{name:>10}" for name in FIGURES)
        for stage, values in case["stages_ms"].items():
            yield f"{stage:<14}" + "".join(f"{values[name]:10.2f}" for name in FIGURES)
        yield "cold start    " + ", ".join(f"{stage} {ms:.1f} ms" for stage, ms in cold.items())
        if case["after_idle_ms"]:
            after = ", ".join(f"{value:.2f}" for value in case["after_idle_ms"])
            yield f"after {found['idle_s']:g} s idle  total {after} ms"
        yield f"total  {blocks(totals)}"


def _write(found: dict[str, Any], samples: list[tuple[str, list[float]]], folder: Path) -> None:
    from .folder import complete
    from .latency_picture import svg

    ran = found["ran"]
    what = f"{found['model']}, {ran['backend']} {ran['precision']}"
    with complete(folder, RESULTS) as partial:
        (partial / RESULTS[0]).write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", "utf-8")
        rows = [(f"{what}, {size}: total", times) for size, times in samples]
        (partial / RESULTS[1]).write_text(svg(rows), "utf-8")


def _size(size: Any) -> str:
    return "x".join(map(str, size))
