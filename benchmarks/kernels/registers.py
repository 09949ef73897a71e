"""Registers, stack and spills of every CUDA kernel, as reported by ptxas in the last build.

    python -m benchmarks.kernels.registers build/wheel/cuda [--results benchmarks/results/cuda_registers.csv]

The folder is that of the object files. Exits with code 1 if a kernel spills more than a few words.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections import defaultdict
from pathlib import Path

ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\d+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
MOST_SPILLED = 64  # bytes of stores and loads


def kernels(folder: Path) -> list[dict[str, int | str]]:
    """Return one row per kernel and capability, in the order of the files."""
    rows: list[dict[str, int | str]] = []
    for path in sorted(folder.glob("*.txt")):
        for line in path.read_text().splitlines():
            if entry := ENTRY.search(line):
                rows.append({"file": path.name.partition(".")[0], "symbol": entry[1], "sm": int(entry[2])})
            elif stack := STACK.search(line):
                rows[-1] |= {"stack_bytes": int(stack[1]), "spill_bytes": int(stack[2]) + int(stack[3])}
            elif used := USED.search(line):
                rows[-1] |= {"registers": int(used[1])}
    return named(rows)


def named(rows: list[dict[str, int | str]]) -> list[dict[str, int | str]]:
    """Replace the symbol of a kernel by its number in the file, the same for every capability."""
    symbols: dict[str, list[str]] = defaultdict(list)
    for kernel in sorted(rows, key=lambda kernel: str(kernel["symbol"])):
        if kernel["symbol"] not in symbols[str(kernel["file"])]:
            symbols[str(kernel["file"])].append(str(kernel["symbol"]))
    return [
        {
            "kernel": f"{k['file']} {symbols[str(k['file'])].index(str(k['symbol'])) + 1}",
            **{key: value for key, value in k.items() if key not in ("file", "symbol")},
        }
        for k in rows
    ]


def main() -> None:
    """Print the kernels that use the most registers, and write all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    rows = kernels(arguments.folder)
    if not rows:
        sys.exit(f"{arguments.folder} has no ptxas messages. Build with -DMMREG_CUDA=ON first.")
    capabilities = sorted({int(kernel["sm"]) for kernel in rows})
    most = sorted(rows, key=lambda kernel: -int(kernel["registers"]))[:12]
    print(f"{len(rows)} kernels for {', '.join(f'sm_{sm}' for sm in capabilities)}")
    for kernel in most:
        print(f"  {kernel['registers']:>4} registers  sm_{kernel['sm']:<4} {kernel['kernel']}")
    spilling = [kernel for kernel in rows if kernel["spill_bytes"]]
    for kernel in spilling:
        print(f"  {kernel['spill_bytes']:>4} bytes spilled  sm_{kernel['sm']:<4} {kernel['kernel']}")
    if arguments.results:
        with arguments.results.open("w", newline="") as stream:
            table = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(sorted(rows, key=lambda kernel: (kernel["kernel"], int(kernel["sm"]))))
    sys.exit(1 if any(int(kernel["spill_bytes"]) > MOST_SPILLED for kernel in spilling) else 0)


if __name__ == "__main__":
    main()
