"""A deadline holds for networks too: none is begun that would end too late, and one on its way is ended.

Time is what the tests say it is: a clock that stands still until a network runs, and costs that are told.
"""

import threading

import numpy as np
import pytest
from click.testing import CliRunner
from fixtures import bundle_parts as parts
from fixtures import networks, scene
from fixtures import onnx_bytes as ox
from fixtures.scene import FLAT

from mmreg_rt import Registrar, _native, io
from mmreg_rt.bundle import golden_bytes, write_bundle
from mmreg_rt.cli import main
from mmreg_rt.errors import CancelledError
from mmreg_rt.network import Network
from mmreg_rt.network.timing import KEPT_RUNS
from mmreg_rt.preprocess import PreprocessSpec

HOUR_MS, YEAR_S = 3.6e6, 3.2e7
LAYERS = 30


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
def backend(request):
    pytest.importorskip("onnx")
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture(scope="module")
def scans():
    return scene.pair(FLAT, FLAT, lambda p: scene.moved(p, plane=True))


def written(path, kind, network, golden):
    spec = PreprocessSpec(None, 4).as_dict()
    manifest = parts.manifest(2, kind, preprocess=spec, intended_use=parts.WIDE)
    files = {"net.onnx": network, "card.md": b"# Tiny\n", "golden.npz": golden}
    return write_bundle(path, manifest, files).path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, backend):
    """Of a network that does much, for slices."""
    from mmreg_rt.backends import by_name

    fixed, moving, _ = parts.golden_pair(2)
    network = networks.long_network(2, LAYERS)
    session = by_name(backend).load(network, precision="fp32", threads=1, device="cpu")
    output = session.infer({"fixed": fixed[None], "moving": moving[None]}).copy()
    session.close()
    path = tmp_path_factory.mktemp("long") / "long.mmreg"
    return written(path, "displacement", network, golden_bytes(fixed, moving, output))


@pytest.fixture
def registrar(bundle, backend):
    return Registrar(bundle, backend=backend, refine=False, threads=1)


@pytest.fixture(scope="module")
def aligned(scans):
    """What there is without the network."""
    return Registrar(deform=False, threads=1).register(*scans)


def takes(registrar, seconds, runs=1, stage=0):
    """Let the network have taken that long on the grid of the scans."""
    network = registrar._network
    for _ in range(runs):
        network._times[stage].note(FLAT.shape, network._work_on(stage, FLAT.shape), seconds)


class InFlight:
    """A clock that stands until a network of the registrar runs, and then is at the end of all time."""

    def __init__(self, registrar, monkeypatch):
        self.runs = 0
        for session in registrar._network._sessions:
            infer = session.infer

            def begun(*given, infer=infer):
                self.runs += 1
                return infer(*given)

            monkeypatch.setattr(session, "infer", begun)

    def __call__(self):
        return YEAR_S * (self.runs > 0)


def same(found, expected):
    np.testing.assert_array_equal(found.transform.displacement_mm, expected.transform.displacement_mm)
    np.testing.assert_array_equal(found.warped.data, expected.warped.data)


def warned(found, words):
    return any(words in warning for warning in found.warnings)


def test_a_network_that_would_end_too_late_is_not_begun(registrar, scans, aligned, monkeypatch):
    clock = InFlight(registrar, monkeypatch)
    whole = registrar.register(*scans)
    assert clock.runs == 1 and not whole.degraded and not warned(whole, "network")
    takes(registrar, YEAR_S)
    registrar._clock = lambda: 0.0
    found = registrar.register(*scans, deadline_ms=HOUR_MS)
    assert clock.runs == 1
    assert found.degraded and found.finished == "align"
    assert warned(
        found, "the network was not begun: it takes about 3.2e+07 s on this grid, and the deadline left"
    )
    same(found, aligned)
    assert found.affine is not None and found.deformation is None
    same(registrar.register(*scans), whole)  # whoever has the time gets it
    takes(registrar, 1.0, KEPT_RUNS)  # and by then it is known to be quicker
    same(registrar.register(*scans, deadline_ms=HOUR_MS), whole)
    assert clock.runs == 3


def test_the_self_test_says_how_long_it_takes_before_it_ever_ran(registrar):
    small, large = (registrar._network.expected_s(shape) for shape in ((1, 8, 4), (1, 320, 320)))
    assert small > 0
    golden = registrar._network._times[0]
    run_s = golden.expected_s((1, 8, 4), 0, prepared=True)
    assert large >= 0.999 * 3200 * run_s  # as many times the voxels


def test_every_run_is_measured(registrar, scans):
    time = registrar._network._times[0]
    assert FLAT.shape not in time._on
    registrar.register(*scans)
    assert len(time._on[FLAT.shape].seconds) == 1
    registrar.plan(scans[0].grid, scans[1].grid)
    assert len(time._on[FLAT.shape].seconds) == 2


def test_the_deadline_ends_a_network_on_its_way(registrar, scans, aligned, monkeypatch):
    whole = registrar.register(*scans)
    registrar._clock = clock = InFlight(registrar, monkeypatch)
    found = registrar.register(*scans, deadline_ms=HOUR_MS)
    assert clock.runs == 1
    assert found.degraded and found.finished == "align"
    assert warned(found, "the deadline stopped the network")
    same(found, aligned)
    registrar._clock = None
    same(registrar.register(*scans), whole)


def test_the_callback_cancels_a_network_on_its_way(registrar, scans, monkeypatch):
    whole = registrar.register(*scans)
    clock, shares = InFlight(registrar, monkeypatch), []

    def progress(stage, share):
        if stage == "network":
            shares.append(share)
        return stage == "network" and clock.runs > 0

    registrar.options = registrar.options.replace(progress=progress)
    with pytest.raises(CancelledError):
        registrar.register(*scans)
    assert all(0 <= share < 1 for share in shares) and shares == sorted(shares)
    registrar.options = registrar.options.replace(progress=None)
    same(registrar.register(*scans), whole)


@pytest.mark.parametrize("error", [KeyboardInterrupt, LookupError])
def test_what_the_callback_raises_meanwhile_reaches_the_caller(registrar, scans, error, monkeypatch):
    whole = registrar.register(*scans)
    clock = InFlight(registrar, monkeypatch)

    def progress(_stage, _share):
        if clock.runs:
            raise error("enough")

    registrar.options = registrar.options.replace(progress=progress)
    with pytest.raises(error, match="enough"):
        registrar.register(*scans)
    registrar.options = registrar.options.replace(progress=None)
    same(registrar.register(*scans), whole)


def test_waiting_for_another_thread_that_runs_the_network_ends_too(registrar, scans, aligned):
    class Standing:
        now = 0.0

        def __call__(self):
            return self.now

    registrar._clock = clock = Standing()
    asked = threading.Event()
    exclusive = registrar._network._exclusive

    def waiting(stop):
        def and_time_is_up():
            clock.now = YEAR_S
            asked.set()
            return stop()

        return exclusive(and_time_is_up)

    registrar._network._exclusive = waiting
    with registrar._network._lock:
        found = registrar.register(*scans, deadline_ms=HOUR_MS)
    assert asked.is_set()
    assert found.degraded
    same(found, aligned)


def test_a_descriptor_is_expected_to_run_twice_and_is_ended_too(
    tmp_path, backend, scans, aligned, monkeypatch
):
    fixed, moving, _ = parts.golden_pair(2)
    golden = golden_bytes(fixed, moving, np.repeat(fixed, 2, 0))
    path = written(tmp_path / "planes.mmreg", "descriptor", ox.descriptor(2, 2), golden)
    registrar = Registrar(path, backend=backend, threads=1)
    whole = registrar.register(*scans)
    takes(registrar, 2000.0)
    assert registrar._network.expected_s(FLAT.shape) == 4000.0
    registrar._clock = lambda: 0.0
    same(registrar.register(*scans, deadline_ms=HOUR_MS), aligned)  # one run of two would end in time
    takes(registrar, 1.0, KEPT_RUNS)
    registrar._clock = InFlight(registrar, monkeypatch)
    found = registrar.register(*scans, deadline_ms=HOUR_MS)
    assert warned(found, "stopped the network")
    same(found, aligned)
    registrar._clock = None
    same(registrar.register(*scans), whole)


@pytest.fixture
def rigid(tmp_path, backend):
    path = write_bundle(tmp_path / "two.mmreg", parts.rigid_manifest(), parts.rigid_files()).path
    return Registrar(path, backend=backend, threads=1)


@pytest.mark.parametrize("stage", [0, 1])
def test_a_rigid_network_that_would_end_too_late_is_not_begun(rigid, stage):
    scans = scene.pair()
    network, shape = rigid._network, parts.WINDOW
    network._times[stage].note(shape, network._work_on(stage, shape), YEAR_S)
    rigid._clock = lambda: 0.0
    found = rigid.register(*scans, deadline_ms=HOUR_MS)
    assert found.degraded and found.settings["rigid"]["stages_run"] == stage
    assert warned(found, "the network was not begun: it takes about 3.2e+07 s")


def test_a_rigid_network_on_its_way_is_ended_and_cancelled(rigid, monkeypatch):
    scans = scene.pair()
    whole = rigid.register(*scans)
    rigid._clock = InFlight(rigid, monkeypatch)
    found = rigid.register(*scans, deadline_ms=HOUR_MS)
    assert found.degraded and found.settings["rigid"]["stages_run"] == 0
    assert warned(found, "stopped the network")
    rigid._clock, clock = None, InFlight(rigid, monkeypatch)
    rigid.options = rigid.options.replace(progress=lambda stage, _: stage == "network" and clock.runs > 0)
    with pytest.raises(CancelledError):
        rigid.register(*scans)
    rigid.options = rigid.options.replace(progress=None)
    same(rigid.register(*scans), whole)


def test_the_shell_says_that_the_network_was_not_begun(tmp_path, bundle, backend, scans, monkeypatch):
    for name, scan in zip(("fixed", "moving"), scans, strict=True):
        io.write_image(scan, tmp_path / f"{name}.nii.gz")
    monkeypatch.setattr(Network, "expected_s", lambda *_: YEAR_S)
    monkeypatch.chdir(tmp_path)
    line = f"register fixed.nii.gz moving.nii.gz -o out --model {bundle} --backend {backend} --no-refine"
    done = CliRunner().invoke(main, [*line.split(), "--threads", "1", "--deadline-ms", str(HOUR_MS)])
    assert done.exit_code in (6, 7), done.output
    assert "stopped at the deadline" in done.output and "the network was not begun" in done.output
    result = (tmp_path / "out" / "result.json").read_text()
    assert '"degraded": true' in result and "the network was not begun" in result


class OnDevice:
    """A session whose network runs on a device, and is not waited for."""

    on_device, prepare_s = True, 0.0

    def infer_on_device(self, *given):
        self.given = given


@pytest.mark.parametrize("waited_for", [True, False])
def test_on_a_device_runs_are_measured_that_are_waited_for(registrar, waited_for):
    """Not those that become part of a graph."""
    if reason := _native.why_no_device("cuda_on_host"):
        pytest.skip(reason)
    network, queue = registrar._network, _native.DeviceQueue("cuda_on_host")
    shape = (1, 16, 16)
    memory = queue.allocate(4 * 2 * 256)
    network._session = session = OnDevice()
    network._sessions[0], network._queue = session, queue
    asked = []
    stop = (lambda: asked.append(1)) if waited_for else None
    assert network.predict((memory, shape), (memory, shape), (memory, (2, *shape)), stop) is False
    assert session.given[1:] == ((1, 1, 16, 16), memory, 512)
    assert (shape in network._times[0]._on) == waited_for
    assert not asked  # a device cannot be stopped
    queue.release(memory)
