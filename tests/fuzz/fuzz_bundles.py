"""Coverage-guided fuzzing of what bundles consist of: ``python -m fuzz.fuzz_bundles --seconds 600``.

As ``fuzz_headers``, with the readers of ``bundle_targets``.
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

with atheris.instrument_imports(include=["mmreg_rt", "fuzz.bundle_targets"]):
    from fuzz import bundle_targets as targets

MAX_INPUT_BYTES = 16384
RSS_LIMIT_MB = 1024


def main() -> None:
    """Run for the seconds asked for, then say how often each code was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--only", choices=list(targets.KINDS), help="this kind of reader alone")
    asked = parser.parse_args()
    reached: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder, corpus = Path(temporary), Path(temporary, "corpus")
        corpus.mkdir()
        for seed in targets.seeds(folder):
            if not targets.of_kind(seed, asked.only):
                continue
            (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
        warnings.simplefilter("error")

        def once(data: bytes) -> int:
            if not targets.of_kind(data, asked.only):
                return -1  # kept out of the corpus
            reached[targets.feed(data, folder)] += 1
            if sum(reached.values()) % 5000 == 0:
                print(sum(reached.values()), "inputs:", dict(sorted(reached.items())), flush=True)
            return 0

        options = [
            f"-max_total_time={asked.seconds}",
            f"-max_len={MAX_INPUT_BYTES}",
            f"-rss_limit_mb={RSS_LIMIT_MB}",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *options, str(corpus)], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
