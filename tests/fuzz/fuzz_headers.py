"""Coverage-guided fuzzing of every reader: ``PYTHONPATH=tests python -m fuzz.fuzz_headers --seconds 600``."""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["mmreg_rt", "fuzz.targets"]):
    from fuzz import targets

    import mmreg_rt.io.field
    import mmreg_rt.io.itk
    import mmreg_rt.io.nifti
    import mmreg_rt.io.points  # noqa: F401 (loaded here to be instrumented)

from fuzz.driver import main

if __name__ == "__main__":
    main(targets, __doc__, most_bytes=4096, say_every=20000)
