"""The parser of deployment.txt under libFuzzer and sanitizers, briefly; `make fuzz` runs it for longer."""

import re

import pytest
from capi import fuzz_manifest


def test_the_parser_survives_libfuzzer(tmp_path):
    try:
        target = fuzz_manifest.build(tmp_path)
    except fuzz_manifest.CannotBuild as reason:
        pytest.skip(str(reason))
    done = fuzz_manifest.run(target, tmp_path, "-runs=20000")
    assert done.returncode == 0, done.stderr[-3000:]
    (edges,) = re.findall(r"DONE\s+cov: (\d+)", done.stderr)
    assert int(edges) > 500  # it got behind the first checks
