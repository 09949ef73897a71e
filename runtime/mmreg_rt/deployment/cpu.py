"""The word for the CPU that a deployment was tested on; libmmreg computes the same."""

from __future__ import annotations

import platform
from pathlib import Path

# on which the arithmetic of the engines and their speed depend
FLAGS = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8",
)  # fmt: skip
CPUINFO = Path("/proc/cpuinfo")


def cpu_word(cpuinfo: Path = CPUINFO) -> str:
    """Return the machine, and those of ``FLAGS`` that it has: ``x86_64+avx2+avx512f``."""
    present: list[str] = []
    try:
        with cpuinfo.open(encoding="latin1") as lines:
            for line in lines:
                if line.startswith("flags"):
                    present = line.partition(":")[2].split()
                    break
    except OSError:  # a system without this file
        pass
    return "+".join([platform.machine() or "unknown", *(flag for flag in FLAGS if flag in present)])
