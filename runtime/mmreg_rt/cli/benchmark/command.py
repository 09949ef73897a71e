"""``mmreg benchmark``."""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...backends import NAMES, PRECISIONS, choose
from ..options import FILE, FOLDER, Sizes, json_option, public_key, public_key_option, threads_option
from ..progress import Progress
from ..terminal import give, give_json

if TYPE_CHECKING:
    from ..output_folder import Output
    from .cases import Case
    from .measure import Effort, Measured
    from .workloads import MakeCase

FORMAT, RECORD, PICTURE = "mmreg-benchmark/2", "benchmark.json", "benchmark.svg"
Samples = tuple["Measured", ...]


@click.command()
@click.argument("model")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--backend", type=click.Choice(NAMES), help="By default the first that can run.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--sizes", type=Sizes(), help="Grids to time, as 96x96x96,160x192x160.")
@click.option("--runs", type=click.IntRange(1, 100_000), default=1000, show_default=True,
              help="Of each series, if the limit leaves time for them.")  # fmt: skip
@click.option("--limit-s", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True,
              help="Seconds after which a series ends; each size has two, and a short third.")  # fmt: skip
@click.option("--idle", "idle_s", type=click.FloatRange(0, 600), default=5.0, show_default=True,
              help="Seconds of pause before each of three runs after idling; 0 leaves them out.")  # fmt: skip
@click.option("--no-contention", is_flag=True, help="Leave out the runs beside others that want the machine.")
@click.option("--pair", type=FILE, nargs=2,
              help="FIXED MOVING: time whole registrations of these scans; a bundle is needed.")  # fmt: skip
@click.option("--no-refine", is_flag=True, help="Of --pair: leave out the solver after the network.")
@click.option("--align", type=click.Choice(("none", "rigid", "affine")), default="affine", show_default=True,
              help="Of --pair.")  # fmt: skip
@public_key_option
@threads_option
@json_option
@click.option("-o", "--output", "folder", type=FOLDER, help="Folder for benchmark.json and benchmark.svg.")
def benchmark(
    model: str,
    device: str,
    backend: str | None,
    precision: str,
    sizes: tuple[tuple[int, ...], ...] | None,
    runs: int,
    limit_s: float,
    idle_s: float,
    no_contention: bool,
    pair: tuple[Path, Path] | None,
    no_refine: bool,
    align: str,
    key_file: Path | None,
    threads: int | None,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Time MODEL on this machine, as a program meets it that registers again and again.

    A bundle that gives a field is timed as Registrar.plan runs it, on random scans: from arrays of the host
    to displacement and warped scan, on a device in its memory; copying those out is told apart. A bundle
    that gives descriptors and an ONNX file are timed as the network alone. With --pair it is whole
    registrations, from two files to their transform.

    All times are wall time in this process. `total` is of whole runs; the stages are of other runs, and those
    of a plan wait after each stage. The cold start is the first load and run; a warm-up is not among the
    samples. Contention is as many busy processes as there are CPUs to use, and on a device filters beside it.
    """
    from ..output_folder import output
    from .measure import Effort

    asked = {
        "model": model, "device": device, "backend": backend, "precision": precision, "threads": threads,
        "public_key": public_key(key_file),
    }  # fmt: skip
    effort = Effort(runs, limit_s, idle_s, not no_contention)
    pipeline = {"align": align, "refine": False if no_refine else None}
    inputs = [Path(model), *(pair or ()), *([] if key_file is None else [key_file])]
    place = nullcontext() if folder is None else output(folder, (RECORD, PICTURE), inputs, (RECORD,))
    with place as out:
        found, samples = _benchmark(asked, sizes, pair, pipeline, effort, Progress(quiet=as_json))
        if out is not None:
            found = _write(found, samples, out)
    if as_json:
        give_json(found)
    else:
        from .table import table

        give("\n".join(table(found, samples)))


def _benchmark(
    asked: dict[str, Any],
    sizes: tuple[tuple[int, ...], ...] | None,
    pair: tuple[Path, Path] | None,
    pipeline: dict[str, Any],
    effort: Effort,
    progress: Progress,
) -> tuple[dict[str, Any], Samples]:
    """What was measured, and the samples of each case."""
    from .workloads import open_subject

    model, device, backend, precision = (asked[key] for key in ("model", "device", "backend", "precision"))
    where = {key: value for key, value in asked.items() if key != "model"}
    subject = open_subject(model, where, sizes, pair, pipeline)
    start = time.perf_counter()
    first = subject.load()  # also imports the library: the load timed later is the network's
    first_load_s = time.perf_counter() - start
    makers = subject.cases(first)
    del first
    machine = _machine(device)  # before it has anything to do
    cases, samples = zip(*(_measured(make, effort, device, progress) for make in makers), strict=True)
    found = {
        "format": FORMAT,
        "status": "ok",
        "model": subject.name,
        "timed": subject.way,
        "passed_over": choose(device, backend, precision)[1],
        "import_and_first_load_ms": first_load_s * 1e3,
        "runs_at_most": effort.runs,
        "limit_s": effort.limit_s,
        "idle_s": effort.idle_s,
        "machine": machine,
        "cases": list(cases),
    }
    return found, samples


def _measured(
    make: MakeCase, effort: Effort, device: str, progress: Progress
) -> tuple[dict[str, Any], Measured]:
    """The figures of a case, and its samples."""
    from .measure import measure

    gc.collect()  # what is left of the case before
    case = make()
    try:
        samples = measure(case, effort, device, progress)
    finally:
        progress.close()
        case.close()
    return _figures(case, samples), samples


def _figures(case: Case, samples: Measured) -> dict[str, Any]:
    from .measure import figures

    crowd = samples.crowd
    return {
        "size_voxels": list(case.size),
        **case.facts,
        "ran": dict(case.ran),
        "cold_start_ms": _ms(case.cold_s),
        "runs": len(samples.whole),
        "total_ms": figures(samples.whole),
        "pairs_per_s": len(samples.whole) / sum(samples.whole),
        "stage_runs": len(next(iter(samples.stages.values()))),
        "stages_ms": {stage: figures(times) for stage, times in samples.stages.items()},
        "after_idle_ms": [seconds * 1e3 for seconds in samples.after_idle],
        "contention": None
        if crowd is None
        else {
            "busy_processes": crowd.processes,
            "filters_on_device": crowd.filters,
            "runs": len(samples.contended),
            "total_ms": figures(samples.contended),
        },
    }


def _ms(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: value * 1e3 for name, value in seconds.items()}


def _machine(device: str) -> dict[str, Any]:
    import mmreg_rt._native as _native

    from ...report import versions

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    load = [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {
        "cpu": names[0] if names else platform.machine(),
        "processors": os.cpu_count(),
        "device": None if device == "cpu" else _native.device_facts(device)["name"],
        "load": load,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": versions(),
    }


def _write(found: dict[str, Any], samples: Samples, place: Output) -> dict[str, Any]:
    from .plot import svg
    from .table import titled, what_ran

    rows = zip(map(titled, found["cases"]), samples, strict=True)
    picture = svg(what_ran(found), [(title, s.whole, s.contended) for title, s in rows])
    (place.partial / PICTURE).write_text(picture, "utf-8")
    written = place.write_record(found, RECORD)
    place.commit(RECORD)
    return written
