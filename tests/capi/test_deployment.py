"""Deployments through libmmreg: the fields of Python, and the refusals of Python."""

import ctypes
import random
import shutil
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from capi.host import Host, HostError, image

from mmreg_rt import Registrar
from mmreg_rt.errors import MmregError
from mmreg_rt.geometry import Grid

deployment = pytest.importorskip("mmreg_rt.deployment", reason="this version has no `mmreg deploy`")
made = pytest.importorskip("fixtures.deployments")

ENGINES = {"openvino": "libs", "onnxruntime": "capi"}  # folder of the library in the wheel
REFINE_OFF = 2
CANCELLED = -10
MUTATIONS = 100


def engine_path(engine):
    pytest.importorskip(engine)
    return Path(find_spec(engine).origin).parent / ENGINES[engine]


@pytest.fixture
def host_of(any_installation):
    hosts = []

    def create(folder):
        hosts.append(Host(any_installation.library, folder, threads=1))
        return hosts[-1]

    yield create
    for host in hosts:
        host.close()


# Steps of 3 and 1.5 mm: the affine of the network's grid is exact, whichever way it is computed.
EXACT = deployment.grid_of("16x15x16@3"), deployment.grid_of("14x16x15@3")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """Deployments of the built-in models for two grids, each made once."""
    folder = tmp_path_factory.mktemp("deployed")

    def of(model, engine, grids=EXACT):
        path = folder / f"{model}_{engine}_{grids[0].shape[0]}"
        if not path.exists():
            deployment.write_deployment(model, path, *grids, engine=engine, threads=1)
        return path

    return of


def blobs(grid, shift):
    """A smooth image of this shape, whose content is shifted by some mm."""
    at = grid.affine[:3, :3] @ np.indices(grid.shape).reshape(3, -1)
    middle = at.mean(axis=1, keepdims=True)
    places = np.random.default_rng(5).uniform(-12, 12, (12, 3, 1))
    values = sum(
        (k % 4 + 1) * np.exp(-((at - middle - place - shift) ** 2).sum(0) / 40)
        for k, place in enumerate(places)
    )
    return values.reshape(grid.shape).astype(np.float32)


def pair_on(grids=EXACT):
    """Images on these grids, around one point."""
    placed = []
    for grid in grids:
        affine = grid.affine.copy()
        affine[:3, 3] = -affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2)
        placed.append(Grid(grid.shape, affine))
    return (blobs(placed[0], 0.0), placed[0]), (blobs(placed[1], 1.5) ** 2, placed[1])


def session_on(host, folder, fixed, **options):
    session = host.session(deployment=host.deployment(folder), **options)
    structure, _memory = image(fixed[0], fixed[1].affine)
    host.call("session_set_fixed", session, ctypes.byref(structure))
    return session


def fields(host, folder, model, engine, pair, refine=None):
    """The fields of libmmreg and of Python, mm."""
    fixed, moving = pair
    options = {} if refine is None else {"refine": REFINE_OFF}
    session = session_on(host, folder, fixed, **options)
    structure, _memory = image(moving[0], moving[1].affine)
    status, field = host.register(session, structure, fixed[1].shape)
    assert status == 0
    with Registrar(model, backend=engine, threads=1, refine=refine) as registrar:
        result = registrar.register((fixed[0], fixed[1].affine), (moving[0], moving[1].affine))
        return field, result.displacement_mm


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("model", "refine"), [("synth", None), ("synth", False), ("masr", None)], ids=("refined", "alone", "masr")
)
def test_the_field_is_bit_for_bit_that_of_python(host_of, deployed, engine, model, refine):
    host = host_of(engine_path(engine))
    field, expected = fields(host, deployed(model, engine), model, engine, pair_on(), refine)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_array_equal(field, expected)


def test_what_is_kept_of_a_fixed_image_goes_with_it(host_of, deployed):
    host, (fixed, moving) = host_of(engine_path("openvino")), pair_on()
    folder, other = deployed("synth", "openvino"), (blobs(fixed[1], -2.0) ** 1.5, fixed[1])
    structure, _memory = image(moving[0], moving[1].affine)
    alone = {"refine": REFINE_OFF, "align": 2}  # no alignment: each call is independent of the one before
    session, shape = session_on(host, folder, fixed, **alone), fixed[1].shape
    first, again = (host.register(session, structure, shape)[1] for _ in range(2))
    np.testing.assert_array_equal(again, first)
    changed, _other = image(other[0], other[1].affine)
    host.call("session_set_fixed", session, ctypes.byref(changed))
    after = host.register(session, structure, shape)[1]
    expected = host.register(session_on(host, folder, other, **alone), structure, shape)[1]
    np.testing.assert_array_equal(after, expected)
    assert np.abs(after - first).max() > 0.1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_field_of_slices_is_bit_for_bit_that_of_python(host_of, signed, engine):
    folder, host = signed(engine), host_of(engine_path(engine))
    bundle = folder.parent / f"{engine}_source" / "tiny_2_velocity.mmreg"
    field, expected = fields(host, folder, bundle, engine, pair_on((made.PLANE, made.PLANE)))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_array_equal(field, expected)


def masked(scan, mask):
    """Return the structure of an image with a mask, and what it points to."""
    structure, memory = image(scan[0], scan[1].affine)
    if mask is None:
        return structure, memory
    structure.mask = mask.ctypes.data
    return structure, (memory, mask)


def box(grid, low, high):
    """A mask whose centre is exact in binary."""
    mask = np.zeros(grid.shape, np.uint8)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1
    return mask


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize(
    ("which", "same_space", "refine"),
    [
        ((), True, None),
        ((), True, True),
        ((), False, None),
        ((0,), True, None),
        ((0, 1), True, None),
    ],
    ids=("headers", "refined", "unrelated", "fixed mask", "both masks"),
)
def test_rigid_networks_move_as_in_python(host_of, tmp_path, engine, stages, which, same_space, refine):
    host = host_of(engine_path(engine))
    made.rigid(tmp_path, engine, grids=EXACT, stages=stages)
    pair = pair_on()
    masks = [box(pair[0][1], (3, 4, 2), (11, 12, 14)), box(pair[1][1], (2, 2, 3), (12, 10, 13))]
    masks = [mask if index in which else None for index, mask in enumerate(masks)]
    fixed, moving = (masked(scan, mask) for scan, mask in zip(pair, masks, strict=True))
    options = {"refine": 1 if refine else 0, "unrelated_headers": 0 if same_space else 1}
    session = host.session(deployment=host.deployment(tmp_path / "rigid"), **options)
    host.call("session_set_fixed", session, ctypes.byref(fixed[0]))
    status, field = host.register(session, moving[0], pair[0][1].shape)
    assert status == 0
    path = tmp_path / f"rigid{stages}.mmreg"
    options = {"backend": engine, "threads": 1, "refine": refine, "same_space": same_space}
    with Registrar(path, **options) as registrar:
        scans = [(data, grid.affine) for data, grid in pair]
        names = ("fixed_mask", "moving_mask")
        given = {names[index]: (masks[index], pair[index][1].affine) for index in which}
        result = registrar.register(*scans, **given)
    assert result.settings["rigid"]["stages_run"] == stages
    assert np.abs(result.displacement_mm).max() > 1
    np.testing.assert_array_equal(field, result.displacement_mm)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_golden_motions_come_out_as_in_python(host_of, tmp_path, engine):
    host = host_of(engine_path(engine))
    made.rigid(tmp_path, engine)
    worst_mm, _ = host.self_test(host.deployment(tmp_path / "rigid"))
    assert worst_mm == pytest.approx(
        deployment.check_deployment(tmp_path / "rigid", runs=1).worst_mm, abs=1e-6
    )
    output = np.fromfile(tmp_path / "rigid" / "golden_output.f32", "<f4")
    for number, value in ((8, output[8] + 0.5), (11, np.nan)):  # a shift and an angle of the second network
        changed = output.copy()
        changed[number] = value
        made.with_file(tmp_path / "rigid", "golden_output.f32", changed.tobytes())
        with pytest.raises(HostError) as refused:
            host.deployment(tmp_path / "rigid")
        assert refused.value.code == "MMREG_E_DEPLOYMENT_GOLDEN"
        if np.isfinite(value):
            assert "is off by 0.5" in str(refused.value)


def test_on_a_grid_with_rounded_steps_the_field_agrees_to_rounding(host_of, deployed):
    grids, host = made.phantom_grids(), host_of(engine_path("openvino"))
    folder = deployed("synth", "openvino", grids)
    field, expected = fields(host, folder, "synth", "openvino", pair_on(grids), refine=False)
    # float32 indices of up to 32 voxels are off by 2e-6, where the field changes by some voxels a voxel
    np.testing.assert_allclose(field, expected, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_golden_pair_comes_out_as_in_python(host_of, deployed, engine):
    host, folder = host_of(engine_path(engine)), deployed("synth", engine)
    worst_mm, slowest_ms = host.self_test(host.deployment(folder))
    assert worst_mm == pytest.approx(deployment.check_deployment(folder, runs=1).worst_mm, abs=1e-6)
    assert slowest_ms > 0


def status_of(host, session, moving, shape):
    """Register, and return the status even of a failed call."""
    try:
        return host.register(session, moving, shape)[0]
    except HostError as error:
        return error.status


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cancel_stops_a_real_engine(host_of, deployed, engine):
    host, (fixed, moving) = host_of(engine_path(engine)), pair_on()
    session, shape = session_on(host, deployed("synth", engine), fixed, refine=REFINE_OFF), fixed[1].shape
    structure, _memory = image(moving[0], moving[1].affine)
    _, expected = host.register(session, structure, shape)
    statuses = []
    for delay_s in np.linspace(0.001, 0.15, 10):
        timer = threading.Timer(delay_s, host.call, ("session_cancel", session))
        timer.start()
        statuses.append(status_of(host, session, structure, shape))
        timer.join()
    status_of(host, session, structure, shape)  # uses up a cancellation that came too late
    assert set(statuses) <= {0, CANCELLED}
    assert CANCELLED in statuses
    status, field = host.register(session, structure, shape)
    assert status == 0
    np.testing.assert_array_equal(field, expected)


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A small signed deployment of each engine."""
    pytest.importorskip("cryptography")
    folder = tmp_path_factory.mktemp("signed")

    def of(engine):
        pytest.importorskip(engine)
        if not (folder / engine).exists():
            made.tiny(folder, engine, name=engine, private_key=made.KEY)
        return folder / engine

    return of


@pytest.fixture(scope="module")
def signed_cascade(tmp_path_factory):
    """A signed deployment of two rigid networks for each engine."""
    pytest.importorskip("cryptography")
    folder = tmp_path_factory.mktemp("signed_cascade")

    def of(engine):
        pytest.importorskip(engine)
        if not (folder / engine).exists():
            made.rigid(folder, engine, name=engine, private_key=made.KEY)
        return folder / engine

    return of


@pytest.fixture(params=["signed", "signed_cascade"])
def signed_of_each_kind(request):
    return request.getfixturevalue(request.param)


def code_in_c(host, folder, key=None):
    """Return the code with which libmmreg refuses a folder, or "" if only its engine is missing."""
    with pytest.raises(HostError) as caught:
        host.deployment(folder, key)
    return "" if caught.value.code == "MMREG_E_ENGINE_LIBRARY" else caught.value.code


def code_in_python(folder, key=None):
    try:
        deployment.open_deployment(folder, key)
    except MmregError as error:
        return error.code
    return ""


def test_a_signed_deployment_needs_the_right_key(host_of, signed, tmp_path):
    folder, host = signed("onnxruntime"), host_of(engine_path("onnxruntime"))
    host.deployment(folder, made.public(made.KEY))
    without = host_of(tmp_path)  # without an engine
    assert code_in_c(without, folder, made.public(made.KEY)) == ""
    assert code_in_c(without, folder, made.public(made.OTHER_KEY)) == "MMREG_E_DEPLOYMENT_SIGNATURE"
    copy = made.copied(folder, tmp_path / "copy")
    (copy / "deployment.sig").unlink()
    assert code_in_c(without, copy, made.public(made.KEY)) == "MMREG_E_DEPLOYMENT_SIGNATURE_MISSING"


def test_tensorrt_is_refused_by_a_library_that_was_built_without_it(host_of, signed, tmp_path):
    folder = made.copied(signed("onnxruntime"), tmp_path / "copy")
    (folder / "network.onnx").rename(folder / "network.plan")
    made.with_lines(
        folder,
        lambda lines: [
            line.replace("network.onnx", "network.plan").replace("= onnxruntime", "= tensorrt")
            for line in lines
        ],
    )
    with pytest.raises(HostError) as refused:
        host_of(tmp_path).deployment(folder)
    assert refused.value.code == "MMREG_E_ENGINE_NOT_BUILT"
    assert "MMREG_TENSORRT_INCLUDE" in str(refused.value)


def mutated(data, rng):
    """Flip a bit, cut, remove, insert, repeat or blank a part."""
    at, length = rng.randrange(len(data)), rng.randint(1, 16)
    changes = [
        data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
        data[:at],
        data[:at] + data[at + length :],
        data[:at] + rng.randbytes(length) + data[at:],
        data[:at] + data[at : at + length] + data[at:],
        data[:at] + bytes(length) + data[at + length :],
    ]
    return rng.choice([change for change in changes if change != data])


@pytest.mark.parametrize("engine", ENGINES)
def test_every_mutation_of_a_file_is_refused(host_of, signed_of_each_kind, tmp_path, engine):
    folder, host = made.copied(signed_of_each_kind(engine), tmp_path / "copy"), host_of(tmp_path)
    key, rng = made.public(made.KEY), random.Random(engine)
    for path in sorted(folder.iterdir()):
        original = path.read_bytes()
        for _ in range(MUTATIONS):
            path.write_bytes(mutated(original, rng))
            assert code_in_c(host, folder, key).startswith("MMREG_E_DEPLOYMENT_")
            if path.name != "deployment.sig":  # which is not used without a key
                assert code_in_c(host, folder).startswith("MMREG_E_DEPLOYMENT_")
        path.write_bytes(original)
    assert code_in_c(host, folder, key) == ""


def changed_lines(lines, rng):
    """Change one line so that the grammar often still holds, and the meaning often does not."""
    at = rng.randrange(len(lines))
    key, _, value = lines[at].partition(" = ")
    other = lines[rng.randrange(len(lines))].partition(" = ")[2]
    part = rng.choice(["0", "-1", "1e30", "1e31", "nan", "1e-400", "01", "1 2 3", "a b", "", "any", other])
    spot = rng.randrange(len(value) + 1)
    line = rng.choice(
        [
            f"{key} = {part}",
            f"{key} = {value} {part}",
            f"{key} = {value[:spot]}{rng.choice('0189.-e+ x')}{value[spot:]}",
            f"{key} = {value[: spot - 1]}{value[spot:]}",
            f"{key}x = {value}",
            f"{key}={value}",
            lines[rng.randrange(len(lines))],
        ]
    )
    change = [line] if rng.random() < 0.8 else [lines[at], line]
    return [*lines[:at], *change, *lines[at + 1 :]]


@pytest.mark.parametrize("engine", ENGINES)
def test_both_readers_judge_each_changed_manifest_alike(host_of, signed_of_each_kind, tmp_path, engine):
    source, host, rng = signed_of_each_kind(engine), host_of(tmp_path), random.Random(f"alike {engine}")
    codes = set()
    folder = made.copied(source, tmp_path / "copy")
    for _ in range(3 * MUTATIONS):
        shutil.copy(source / "deployment.txt", folder)
        made.with_lines(folder, lambda lines: changed_lines(lines, rng))
        code = code_in_c(host, folder)
        assert code == code_in_python(folder), (folder / "deployment.txt").read_text()
        codes.add(code)
    assert len(codes) > 5
