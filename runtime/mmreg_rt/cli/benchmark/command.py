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
from ..options import FILE, FOLDER, Extents, Sizes, json_option, public_key_option, read_key, threads_option
from ..progress import Progress
from ..terminal import print_json, print_result

if TYPE_CHECKING:
    from ...options import RegistrarOptions
    from ..output_folder import Output
    from .cases import TimedCase
    from .measure import Effort, Timings
    from .workloads import CaseFactory

FORMAT, RECORD, PICTURE = "mmreg-benchmark/2", "benchmark.json", "benchmark.svg"
Samples = tuple["Timings", ...]


@click.command()
@click.argument("model")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--backend", type=click.Choice(NAMES), help="Default: the first that can run.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True,
              help="Inference precision.")  # fmt: skip
@click.option("--sizes", type=Sizes(), help="Grids to time, such as 96x96x96,160x192x160.")
@click.option("--runs", type=click.IntRange(1, 100_000), default=1000, show_default=True,
              help="Runs per series, within --limit-s.")  # fmt: skip
@click.option("--limit-s", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True,
              help="Seconds after which a series ends; each size has two long series and a short "
              "one.")  # fmt: skip
@click.option("--idle", "idle_s", type=click.FloatRange(0, 600), default=5.0, show_default=True,
              help="Pause before each of three runs after idling, in seconds; 0 skips them.")  # fmt: skip
@click.option("--contention/--no-contention", default=True, show_default=True,
              help="Also time runs beside busy processes.")  # fmt: skip
@click.option("--pair", type=FILE, nargs=2,
              help="FIXED MOVING: time whole registrations of these scans; a bundle is needed.")  # fmt: skip
@click.option("--refine/--no-refine", default=None,
              help="With --pair: refine the output of the network. Default: as the bundle "
              "declares.")  # fmt: skip
@click.option("--align", type=click.Choice(("none", "rigid", "affine")), default="affine", show_default=True,
              help="With --pair: linear alignment before the deformation.")  # fmt: skip
@public_key_option
@threads_option
@json_option
@click.option("-o", "--output", "folder", type=FOLDER, help="Folder for benchmark.json and benchmark.svg.")
def benchmark(
    model: str,
    device: str,
    backend: str | None,
    precision: str,
    sizes: Extents | None,
    runs: int,
    limit_s: float,
    idle_s: float,
    contention: bool,
    pair: tuple[Path, Path] | None,
    refine: bool | None,
    align: str,
    key_file: Path | None,
    threads: int | None,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Time MODEL on this machine, as a long-running application would see it.

    A bundle that outputs a field is timed as Registrar.plan runs it, on random scans: from arrays in host
    memory to displacement and warped scan, which stay in device memory if a device is used; copying them to
    the host is timed separately. A bundle that outputs descriptors, or an ONNX file, is timed as the network
    only. With --pair whole registrations are timed, from two files to their transform.

    All times are wall time in this process. `total` comes from whole runs; the stages come from separate
    runs, which in a plan wait after each stage. The cold start is the first load and run; warm-up runs are
    not counted. Contention is one busy process per usable CPU, and on a device also filters.
    """
    from ...options import RegistrarOptions
    from ..output_folder import output
    from .measure import Effort

    options = RegistrarOptions(
        device, align, threads=threads, refine=refine, backend=backend, precision=precision,
        public_key=read_key(key_file),
    )  # fmt: skip
    effort = Effort(runs, limit_s, idle_s, contention)
    inputs = [Path(model), *(pair or ()), *([] if key_file is None else [key_file])]
    place = nullcontext() if folder is None else output(folder, (RECORD, PICTURE), inputs, (RECORD,))
    with place as out:
        results, samples = _benchmark(model, options, sizes, pair, effort, Progress(quiet=as_json))
        if out is not None:
            results = _write(results, samples, out)
    if as_json:
        print_json(results)
    else:
        from .table import table

        print_result("\n".join(table(results, samples)))


def _benchmark(
    model: str,
    options: RegistrarOptions,
    sizes: Extents | None,
    pair: tuple[Path, Path] | None,
    effort: Effort,
    progress: Progress,
) -> tuple[dict[str, Any], Samples]:
    """Measure every case; return the results and the timings of each case."""
    from .workloads import open_workload

    workload, device = open_workload(model, options, sizes, pair), options.device
    first_load_s = workload.first_load_s()  # the load timed later is the network's
    machine = _machine(device)  # before any load
    cases, samples = zip(*(_measured(make, effort, device, progress) for make in workload.cases), strict=True)
    results = {
        "format": FORMAT,
        "status": "ok",
        "model": workload.name,
        "timed": workload.way,
        "passed_over": choose(device, options.backend, options.precision)[1],
        "import_and_first_load_ms": first_load_s * 1e3,
        "runs_at_most": effort.runs,
        "limit_s": effort.limit_s,
        "idle_s": effort.idle_s,
        "machine": machine,
        "cases": list(cases),
    }
    return results, samples


def _measured(
    make: CaseFactory, effort: Effort, device: str, progress: Progress
) -> tuple[dict[str, object], Timings]:
    """Measure one case; return its figures and its timings."""
    from .measure import measure

    gc.collect()  # the memory of the previous case
    case = make()
    try:
        samples = measure(case, effort, device, progress)
    finally:
        progress.close()
        case.close()
    return _figures(case, samples), samples


def _figures(case: TimedCase, samples: Timings) -> dict[str, object]:
    from .measure import figures

    contention = samples.contention
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
        if contention is None
        else {
            "busy_processes": contention.processes,
            "filters_on_device": contention.filters,
            "runs": len(samples.contended),
            "total_ms": figures(samples.contended),
        },
    }


def _ms(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: value * 1e3 for name, value in seconds.items()}


def _machine(device: str) -> dict[str, object]:
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


def _write(results: dict[str, Any], samples: Samples, place: Output) -> dict[str, Any]:
    from .plot import svg
    from .table import title, what_ran

    rows = zip(map(title, results["cases"]), samples, strict=True)
    picture = svg(what_ran(results), [(heading, s.whole, s.contended) for heading, s in rows])
    (place.partial / PICTURE).write_text(picture, "utf-8")
    written = place.write_record(results, RECORD)
    place.commit(RECORD)
    return written
