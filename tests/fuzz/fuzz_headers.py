"""Coverage-guided fuzzing of every reader: ``PYTHONPATH=tests python -m fuzz.fuzz_headers --seconds 600``.

Any exception but a refusal of the package, a numpy warning, or more memory than ``targets`` states is a
finding: the input is kept in the corpus folder and the run ends with an error. Needs atheris from PyPI.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mmreg_rt", "fuzz.targets"]):
    from fuzz import targets

    import mmreg_rt.io.field
    import mmreg_rt.io.itk
    import mmreg_rt.io.nifti
    import mmreg_rt.io.points  # noqa: F401 (loaded here to be instrumented)

MAX_INPUT_BYTES = 4096
RSS_LIMIT_MB = 1024


def main() -> None:
    """Run for the seconds asked for, then say how often each code was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="kept between runs; by default a temporary folder")
    parser.add_argument("--only", choices=list(targets.KINDS), help="this kind of file alone")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        corpus = asked.corpus or Path(temporary, "corpus")
        corpus.mkdir(parents=True, exist_ok=True)
        for seed in targets.seeds():
            if targets.of_kind(seed, asked.only):
                (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
        fuzz(corpus, asked, Path(temporary))


def fuzz(corpus: Path, asked: argparse.Namespace, folder: Path) -> None:
    """Never returns: libFuzzer ends the process, and prints the counts on its way."""
    reached: Counter[str] = Counter()
    warnings.simplefilter("error")

    def once(data: bytes) -> int:
        if not targets.of_kind(data, asked.only):
            return -1  # kept out of the corpus
        reached[targets.feed(data, folder)] += 1
        if sum(reached.values()) % 20000 == 0:
            print(
                sum(reached.values()),
                "inputs:",
                *(f"{c} {n}" for c, n in sorted(reached.items())),
                flush=True,
            )
        return 0

    options = [
        f"-max_total_time={asked.seconds}",
        f"-max_len={MAX_INPUT_BYTES}",
        f"-rss_limit_mb={RSS_LIMIT_MB}",
        f"-artifact_prefix={corpus}/finding-",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
