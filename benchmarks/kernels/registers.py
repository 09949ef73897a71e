"""Registers, stack and spills of every CUDA kernel, as ptxas has said at the last build.

    python -m benchmarks.kernels.registers build/wheel/cuda [--results benchmarks/results/cuda_registers.csv]

The folder is the one that the build leaves its objects in. Exit code 1 if a kernel
spills more than a few words.
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
    """One line a kernel and capability, in the order of the files."""
    found: list[dict[str, int | str]] = []
    for path in sorted(folder.glob("*.txt")):
        for line in path.read_text().splitlines():
            if entry := ENTRY.search(line):
                found.append({"file": path.name.partition(".")[0], "symbol": entry[1], "sm": int(entry[2])})
            elif stack := STACK.search(line):
                found[-1] |= {"stack_bytes": int(stack[1]), "spill_bytes": int(stack[2]) + int(stack[3])}
            elif used := USED.search(line):
                found[-1] |= {"registers": int(used[1])}
    return named(found)


def named(found: list[dict[str, int | str]]) -> list[dict[str, int | str]]:
    """With the number of a kernel in its file in place of its symbol: the same for every capability."""
    symbols: dict[str, list[str]] = defaultdict(list)
    for kernel in sorted(found, key=lambda kernel: str(kernel["symbol"])):
        if kernel["symbol"] not in symbols[str(kernel["file"])]:
            symbols[str(kernel["file"])].append(str(kernel["symbol"]))
    return [
        {
            "kernel": f"{k['file']} {symbols[str(k['file'])].index(str(k['symbol'])) + 1}",
            **{key: value for key, value in k.items() if key not in ("file", "symbol")},
        }
        for k in found
    ]


def main() -> None:
    """Prints the kernels that use most, and writes all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    found = kernels(arguments.folder)
    if not found:
        sys.exit(f"{arguments.folder} has no messages of ptxas; build with -DMMREG_CUDA=ON first.")
    capabilities = sorted({int(kernel["sm"]) for kernel in found})
    most = sorted(found, key=lambda kernel: -int(kernel["registers"]))[:12]
    print(f"{len(found)} kernels for {', '.join(f'sm_{sm}' for sm in capabilities)}")
    for kernel in most:
        print(f"  {kernel['registers']:>4} registers  sm_{kernel['sm']:<4} {kernel['kernel']}")
    spilling = [kernel for kernel in found if kernel["spill_bytes"]]
    for kernel in spilling:
        print(f"  {kernel['spill_bytes']:>4} bytes spilled  sm_{kernel['sm']:<4} {kernel['kernel']}")
    if arguments.results:
        with arguments.results.open("w", newline="") as stream:
            table = csv.DictWriter(stream, list(found[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(sorted(found, key=lambda kernel: (kernel["kernel"], int(kernel["sm"]))))
    sys.exit(1 if any(int(kernel["spill_bytes"]) > MOST_SPILLED for kernel in spilling) else 0)


if __name__ == "__main__":
    main()
