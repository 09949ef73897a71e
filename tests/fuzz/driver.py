"""Feeds readers with mutations that coverage guides, for a time; what both programs of this folder run.

Any exception but a refusal of the package, a numpy warning, or more memory than the targets state is a
finding: the input is kept in the corpus folder and the run ends with an error. Needs atheris from PyPI.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import atheris

RSS_LIMIT_MB = 1024


def of_kind(targets: Any, seed: bytes, kind: str | None) -> bool:
    """Whether the input goes to a reader of this kind; every input is of the kind None."""
    return kind is None or (bool(seed) and seed[0] % len(targets.READERS) in targets.KINDS[kind])


def main(targets: Any, description: str | None, most_bytes: int, say_every: int) -> None:
    """Run for the seconds asked for, then say how often each code was reached."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="kept between runs; by default a temporary folder")
    parser.add_argument("--only", choices=list(targets.KINDS), help="this kind of file alone")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        corpus = asked.corpus or folder / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        keep(corpus, (seed for seed in targets.seeds(folder) if of_kind(targets, seed, asked.only)))
        fuzz(targets, corpus, asked, folder, most_bytes, say_every)


def keep(corpus: Path, seeds: Iterable[bytes]) -> None:
    for seed in seeds:
        (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def fuzz(
    targets: Any, corpus: Path, asked: argparse.Namespace, folder: Path, most_bytes: int, say_every: int
) -> None:
    """Never returns: libFuzzer ends the process, and prints the counts on its way."""
    reached: Counter[str] = Counter()
    warnings.simplefilter("error")

    def once(data: bytes) -> int:
        if not of_kind(targets, data, asked.only):
            return -1  # kept out of the corpus
        reached[targets.feed(data, folder)] += 1
        if sum(reached.values()) % say_every == 0:
            counts = (f"{code} {count}" for code, count in sorted(reached.items()))
            print(sum(reached.values()), "inputs:", *counts, flush=True)
        return 0

    options = [
        f"-max_total_time={asked.seconds}",
        f"-max_len={most_bytes}",
        f"-rss_limit_mb={RSS_LIMIT_MB}",
        f"-artifact_prefix={corpus}/finding-",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], once)
    atheris.Fuzz()
