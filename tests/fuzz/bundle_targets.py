"""What of bundles is fuzzed: container, manifest, ONNX reader, golden pair; and valid files to start from."""

import hashlib
import io
import tracemalloc
import zipfile
from pathlib import Path

from fixtures import bundle_parts as parts
from fixtures import onnx_bytes as ox

from mmreg_rt.bundle import open_bundle, write_bundle
from mmreg_rt.bundle.golden import read_golden
from mmreg_rt.bundle.manifest import parse_manifest
from mmreg_rt.errors import MmregError
from mmreg_rt.onnx_model.footprint import Bounds
from mmreg_rt.onnx_model.validation import check_model

# A golden pair may be 64 MiB once unpacked, and is copied to float32; the rest is bounded by what it holds
BOUND_BYTES, BOUND_TIMES = 4 << 20, 400
GOLDEN_BYTES = 4 * (64 << 20)
BOUNDS = Bounds(1 << 30, 1 << 36)


def _container(data, folder):
    path = folder / "fuzzed.mmreg"
    path.write_bytes(data)
    open_bundle(path)


def _network(data, folder):  # noqa: ARG001 (all readers are called alike)
    facts = check_model(data)
    dims = len(facts.inputs[0].dims) if facts.inputs else 0
    facts.footprint((1, 1, 4, 8, 4) if dims == 5 else (1, 1, 8, 4), BOUNDS)


def _manifest(data, folder):  # noqa: ARG001
    parse_manifest(data)


def _golden(data, folder):  # noqa: ARG001
    read_golden(data, _MANIFEST)


READERS = _container, _manifest, _network, _golden
# Readers by the kind of what they read, so that each kind may be given a time of its own
KINDS = {"container": (0,), "manifest": (1,), "network": (2,), "golden": (3,)}


def feed(data, folder):
    """Let the reader that the first byte chooses read the rest; the code it refused with, or ``"read"``."""
    number, content = data[0] % len(READERS) if data else 0, data[1:]
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    try:
        READERS[number](content, folder)
        code = "read"
    except MmregError as refusal:
        code = refusal.code
    peak = tracemalloc.get_traced_memory()[1] - before
    bound = (GOLDEN_BYTES if READERS[number] is _golden else BOUND_BYTES) + BOUND_TIMES * len(content)
    assert peak <= bound, f"{READERS[number].__name__}: {peak} bytes for {len(content)}, bound {bound}"
    return code


def _raw_manifest(dims=3, make=parts.manifest, files=None):
    import json

    facts = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in (files or parts.files(dims)).items()
    }
    return json.dumps({"format": "mmreg-bundle/1", **make(), "files": facts}).encode()


_MANIFEST = parse_manifest(_raw_manifest())


def _zip(folder):
    return write_bundle(Path(folder) / "seed.mmreg", parts.manifest(), parts.files()).path.read_bytes()


def _deflated(golden):
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(golden)) as stored,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file,
    ):
        for name in stored.namelist():
            file.writestr(zipfile.ZipInfo(name), stored.read(name), zipfile.ZIP_DEFLATED)
    return made.getvalue()


def seeds(folder):
    """Valid files of each kind, with the byte before them that chooses the reader."""
    golden = parts.files()["golden.npz"]
    networks = [ox.net(), ox.net(2), ox.descriptor(), ox.net(opset=17)]
    manifests = [_raw_manifest(), _raw_manifest(make=parts.rigid_manifest, files=parts.rigid_files())]
    return [
        b"\0" + _zip(folder),
        *(b"\1" + manifest for manifest in manifests),
        *(b"\2" + network for network in networks),
        *(b"\3" + pair for pair in (golden, _deflated(golden))),
    ]
