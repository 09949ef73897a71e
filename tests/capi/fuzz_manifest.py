"""Build the libFuzzer target of deployment.txt with Clang and run it.

PYTHONPATH=tests python -m capi.fuzz_manifest --seconds 600
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CPP = ROOT / "cpp_ext"
SOURCES = (
    "tests/fuzz_deployment.cpp",
    *(f"capi/deployment/{name}.cpp" for name in ("lines", "manifest", "sha2", "values")),
    "capi/guard.cpp",
)
SANITIZERS = "-fsanitize=fuzzer,address,undefined"
HASH = "a" * 64
# Without its checksum, which the target adds.
MANIFEST = f"""format = mmreg-deployment/1
name = stand-in
version = 1.0.0
bundle_sha256 = {HASH}
mmreg_version = 0.1.0
engine = openvino
engine_version = 1.2.3
cpu = any
precision = fp32
threads = 2
output = displacement
dims = 2
fixed_shape = 1 40 40
fixed_linear = 1.5 0 0 0 1.5 0 0 0 1.5
largest_moving_shape = 1 64 64
network_shape = 1 40 40
network_to_fixed = 1 0 0 0 0 1 0 0 0 0 1 0
intensity = percentile
intensity_low = 0.5
intensity_high = 99.5
factor = 1
integration_steps = 0
planes = 0
stages = 1
refine = 0
golden_limit_mm = 0.01
expected_ms = 2
slack_ms = 1
memory_mb = 3
file = network.xml 6 {HASH}
file = network.bin 7 {HASH}
file = golden_fixed.f32 6400 {HASH}
file = golden_moving.f32 6400 {HASH}
file = golden_output.f32 12800 {HASH}
"""
OTHER_WORDS = (
    *("velocity", "descriptor", "rigid", "window", "minmax", "onnxruntime", "network.onnx", "bf16", "int8"),
    *("network2.xml", "network2.bin", "tensorrt", "network.plan"),
)


class CannotBuild(Exception):
    """There is no Clang with libFuzzer here."""


def build(folder: Path) -> Path:
    """Compile the target into a folder and return its path.

    Raises:
        CannotBuild: Clang or its libFuzzer is missing.
    """
    clang = shutil.which("clang++")
    if clang is None:
        raise CannotBuild("clang++ is not installed")
    target = folder / "fuzz_deployment"
    probe = [clang, "-x", "c++", SANITIZERS, "-", "-o", str(target)]
    body = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'
    if subprocess.run(probe, input=body, text=True, capture_output=True).returncode:
        raise CannotBuild("this clang++ has no libFuzzer with the address sanitizer")
    options = ["-std=c++17", "-O1", "-g", SANITIZERS, "-fno-sanitize-recover=undefined"]
    folders = [f"-I{CPP}", f"-I{CPP / 'capi' / 'include'}"]
    subprocess.run([clang, *options, *folders, *(CPP / name for name in SOURCES), "-o", target], check=True)
    return target


def run(target: Path, folder: Path, limit: str) -> subprocess.CompletedProcess[str]:
    """Run the target from one correct manifest; ``limit`` is ``-runs=N`` or ``-max_total_time=SECONDS``."""
    corpus, words = folder / "corpus", folder / "words"
    corpus.mkdir()
    (corpus / "manifest").write_text(MANIFEST)
    found = {word for word in (*MANIFEST.split(), *OTHER_WORDS) if len(word) < 40}
    words.write_text("".join(f'"{word}"\n' for word in sorted(found)))
    # Single allocations are limited, not the resident set, whose peak is inherited from the parent process.
    memory = ["-rss_limit_mb=0", "-malloc_limit_mb=64"]
    options = [limit, "-seed=1", "-max_len=70000", *memory, f"-dict={words}", f"-artifact_prefix={folder}/"]
    return subprocess.run([target, *options, corpus], text=True, capture_output=True)


def main() -> int:
    """Run it for some time and return the exit status of libFuzzer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            done = run(build(folder), folder, f"-max_total_time={seconds}")
        except CannotBuild as reason:
            print(f"skipped: {reason}")
            return 0
    print(done.stderr[-2000:])
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
