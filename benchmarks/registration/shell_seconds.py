"""CPU seconds of the steps of `mmreg register`.

    python -m benchmarks.registration.shell_seconds FIXED MOVING

One registration on two threads, in this process. CPU seconds of all threads together, which depend less on
other load than wall time. "other" is parsing of options, checks between the steps and closing.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

spent: dict[str, float] = defaultdict(float)


def timed(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function to add its CPU seconds to a step, without those of other timed calls inside."""

    def call(*arguments: Any, **options: Any) -> Any:
        start, before = time.process_time(), sum(spent.values())
        try:
            return function(*arguments, **options)
        finally:
            inner = sum(spent.values()) - before
            spent[step] += time.process_time() - start - inner

    return call


def main() -> None:
    start = time.process_time()
    from mmreg_rt import io, report
    from mmreg_rt.cli import main as shell
    from mmreg_rt.registrar import Registrar

    spent["import"] = time.process_time() - start
    Registrar.register = timed("register", Registrar.register)
    io.read_image = timed("read", io.read_image)
    for name in ("write_image", "write_transform"):
        setattr(io, name, timed("write", getattr(io, name)))
    for name in ("result_page", "result_summary"):
        setattr(report, name, timed("report", getattr(report, name)))
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = ["mmreg", "register", *sys.argv[1:3], "-o", f"{folder}/out", "--threads", "2"]
        try:
            shell()
        except SystemExit as end:
            print("exit", end.code, file=sys.stderr)
    spent["other"] = time.process_time() - start - sum(spent.values())
    print(" ".join(f"{step} {seconds:.2f}" for step, seconds in spent.items()))


if __name__ == "__main__":
    main()
