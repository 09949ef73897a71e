"""Seeded mutations of every file of a deployment: all are refused, by an error of the format."""

import contextlib
import random

import pytest
from fixtures import deployments as made

from mmreg_rt.deployment import check_deployment
from mmreg_rt.errors import BundleError, MmregError

MUTATIONS = 100
FILES = {
    "openvino": ("network.xml", "network.bin"),
    "onnxruntime": ("network.onnx",),
}
COMMON = ("deployment.txt", "deployment.sig", "golden_fixed.f32", "golden_moving.f32", "golden_output.f32")


def mutated(data, rng):
    """Other bytes: flipped, cut, inserted, repeated, exchanged or set to 0."""
    at, length = rng.randrange(len(data)), rng.randint(1, 16)
    part = data[at : at + length]
    return rng.choice(
        [
            lambda: data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
            lambda: data[:at],
            lambda: data[:at] + data[at + length :],
            lambda: data[:at] + rng.randbytes(length) + data[at:],
            lambda: data[:at] + part + data[at:],
            lambda: data[:at] + bytes(len(part)) + data[at + len(part) :],
            lambda: data[at:] + data[:at],
            lambda: data[:at] + part[::-1] + data[at + len(part) :],
        ]
    )()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    pytest.importorskip("cryptography")
    folder, kept = tmp_path_factory.mktemp("mutations"), {}

    def signed(engine):
        pytest.importorskip(engine)
        if engine not in kept:
            kept[engine] = folder / engine
            made.tiny(folder, engine, name=engine, private_key=made.KEY)
        return kept[engine]

    return signed


@pytest.mark.parametrize(
    ("engine", "name"), [(engine, name) for engine in FILES for name in (*FILES[engine], *COMMON)]
)
def test_every_mutation_is_refused(folders, engine, name):
    folder, key, rng = folders(engine), made.public(made.KEY), random.Random(f"{engine} {name}")
    path = folder / name
    original = path.read_bytes()
    needs_key = name == "deployment.sig"  # without a key the signature promises nothing
    try:
        for _ in range(MUTATIONS):
            while (data := mutated(original, rng)) == original:
                pass
            path.write_bytes(data)
            for given in (key,) if needs_key else (key, None):
                with pytest.raises(BundleError, match="MMREG_E_DEPLOYMENT_"):
                    check_deployment(folder, given, runs=1)
    finally:
        path.write_bytes(original)
    check_deployment(folder, key, runs=1)


@pytest.mark.parametrize(("engine", "name"), [(engine, name) for engine in FILES for name in FILES[engine]])
def test_changed_networks_of_the_right_checksum_crash_at_most_another_process(
    folders, engine, name, tmp_path
):
    """Without a key, somebody may have changed the network and its checksums."""
    rng = random.Random(name)
    original = (folders(engine) / name).read_bytes()
    for number in range(6):
        folder = made.copied(folders(engine), tmp_path / str(number))
        made.with_file(folder, name, mutated(original, rng))
        with contextlib.suppress(MmregError):  # or the change is harmless
            check_deployment(folder, runs=1)


@pytest.mark.parametrize("engine", FILES)
def test_the_network_of_an_unsigned_folder_is_tried_first(folders, engine, monkeypatch):
    tried = []
    monkeypatch.setattr("mmreg_rt.network.trust.prove", lambda trial, _: tried.append(trial))
    check_deployment(folders(engine), made.public(made.KEY), runs=1)
    assert not tried
    check_deployment(folders(engine), runs=1)
    (trial,) = tried
    assert [name for name, _ in trial.parts] == [*FILES[engine]] and trial.task == "deployed"
