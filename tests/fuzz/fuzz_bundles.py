"""Coverage-guided fuzzing of what bundles consist of: ``python -m fuzz.fuzz_bundles --seconds 600``."""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["mmreg_rt", "fuzz.bundle_targets"]):
    from fuzz import bundle_targets

from fuzz.driver import main

if __name__ == "__main__":
    main(bundle_targets, __doc__, most_bytes=16384, say_every=5000)
