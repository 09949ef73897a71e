"""Deployments of built-in and other bundles: what is in the folder, and that it is whole or not there."""

import contextlib
import hashlib
import os
import re

import numpy as np
import pytest
from fixtures import bundle_parts as parts
from fixtures import deployments as made
from fixtures import networks as networks_

from mmreg_rt.backends import by_name
from mmreg_rt.backends.deployed import engine as engine_of
from mmreg_rt.bundle import open_bundle, write_bundle
from mmreg_rt.deployment import check_deployment, grid_of, latency, write, write_deployment
from mmreg_rt.deployment.golden import of_shape
from mmreg_rt.deployment.manifest import network_file
from mmreg_rt.errors import BackendUnavailableError, BundleError, GeometryError, InputError
from mmreg_rt.geometry import Grid
from mmreg_rt.network.trust import find_bundle
from mmreg_rt.preprocess import network_grid

MEASURED = ("expected_ms", "slack_ms", "memory_mb", "checksum")
NETWORK = {"openvino": {"network.xml", "network.bin"}, "onnxruntime": {"network.onnx"}}


@pytest.fixture(scope="session")
def deployed(tmp_path_factory):
    """Write each deployment of a built-in bundle once, with few runs: their times are not tested."""
    folder, kept = tmp_path_factory.mktemp("deployed"), {}
    few = pytest.MonkeyPatch()
    few.setattr(write, "RUNS", 3)
    few.setattr(latency, "WARM_UPS", 1)

    def deployment(name, engine, **options):
        pytest.importorskip(engine)
        key = name, engine, *options.values()
        if key not in kept:
            path = folder / "-".join(key)
            fixed, moving = made.phantom_grids()
            kept[key] = write_deployment(name, path, fixed, moving, engine=engine, threads=1, **options)
        return kept[key]

    yield deployment
    few.undo()


@pytest.fixture(
    params=[(name, engine) for name in ("synth", "masr") for engine in made.ENGINES], ids="-".join
)
def built_in(request, deployed):
    return deployed(*request.param)


def test_the_folder_has_the_files_of_its_engine_and_nothing_else(built_in):
    manifest = built_in.deployment.manifest
    golden = {"golden_fixed.f32", "golden_output.f32"}
    if manifest.name == "synth":
        golden.add("golden_moving.f32")
    path = built_in.deployment.path
    assert {*os.listdir(path)} == {"deployment.txt", *golden, *NETWORK[manifest.engine]}
    for name, facts in manifest.files.items():
        data = (path / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (facts.bytes, facts.sha256)


def test_a_written_folder_passes_its_check(built_in):
    done = check_deployment(built_in.deployment.path, runs=3)
    assert done.deployment.manifest == built_in.deployment.manifest
    assert done.worst_mm <= done.deployment.manifest.golden_limit_mm
    assert (
        0
        < done.latency_ms["p50"]
        <= done.latency_ms["p90"]
        <= done.latency_ms["p99"]
        <= done.latency_ms["max"]
    )
    assert done.slack_ms > 1 and done.runs == 3


def test_the_golden_output_is_that_of_the_bundle_on_the_deployed_grid(built_in):
    manifest, files = built_in.deployment.manifest, built_in.deployment.files
    bundle = open_bundle(find_bundle(manifest.name))
    pair = bundle.golden()
    images = [
        of_shape(image, manifest.network_shape).reshape(manifest.input_shape)
        for image in (pair.fixed, pair.moving)
    ]
    session = by_name("onnxruntime").load(bundle.model().onnx, precision="fp32", threads=1, device="cpu")
    with contextlib.closing(session):
        output = session.infer(dict(zip(manifest.inputs, images, strict=False)))
    golden = np.frombuffer(files["golden_output.f32"], "<f4").reshape(manifest.output_shape)
    # two engines differ by rounding; the bundle accepts golden_limit_mm
    np.testing.assert_allclose(golden, output, atol=manifest.golden_limit_mm / 2)


def test_the_network_has_one_shape(built_in):
    manifest, files = built_in.deployment.manifest, built_in.deployment.files
    session = engine_of(manifest.engine).load(files, "fp32", 1)
    assert {port.name: port.shape for port in session.inputs} == dict.fromkeys(
        manifest.inputs, manifest.input_shape
    )
    assert session.output_spec.shape == manifest.output_shape
    session.close()


def test_the_numbers_are_those_of_the_bundle_and_the_grids(built_in):
    manifest = built_in.deployment.manifest
    source = open_bundle(find_bundle(manifest.name)).manifest
    fixed, moving = made.phantom_grids()
    seen = network_grid(fixed, source.preprocess)
    between = np.vstack([np.reshape(manifest.network_to_fixed, (3, 4)), [0, 0, 0, 1]])
    np.testing.assert_allclose(fixed.affine @ between, seen.affine, atol=1e-9)  # rounding, in mm
    np.testing.assert_array_equal(np.reshape(manifest.fixed_linear, (3, 3)), fixed.affine[:3, :3])
    assert manifest.fixed_shape == fixed.shape and manifest.network_shape == seen.shape
    assert manifest.largest_moving_shape == moving.shape
    assert (manifest.intensity, manifest.intensity_low, manifest.intensity_high) == ("percentile", 0.5, 99.5)
    assert (manifest.output, manifest.factor) == (source.output.kind, source.output.factor)
    assert manifest.planes == (12 if manifest.name == "masr" else 0)
    assert manifest.integration_steps == source.output.integration_steps
    np.testing.assert_allclose(manifest.spacing_mm, 1.5)


@pytest.mark.parametrize("engine", made.ENGINES)
def test_two_runs_give_the_same_bytes_but_for_what_is_measured(deployed, engine, tmp_path):
    first = deployed("synth", engine).deployment
    fixed, moving = made.phantom_grids()
    second = write_deployment("synth", tmp_path / "again", fixed, moving, engine=engine, threads=1).deployment
    assert first.files == second.files
    lines = [(each.path / "deployment.txt").read_text().splitlines() for each in (first, second)]
    for one, other in zip(*lines, strict=True):
        assert one == other or one.split(" = ")[0] in MEASURED


def test_a_lower_precision_is_measured_against_fp32(deployed):
    done = deployed("masr", "onnxruntime", precision="fp16")
    plain = deployed("masr", "onnxruntime").deployment.files
    assert done.deployment.files["golden_output.f32"] == plain["golden_output.f32"]
    assert done.deployment.files["network.onnx"] != plain["network.onnx"]
    assert 0 < done.worst_mm <= done.deployment.manifest.golden_limit_mm == 0.3


def test_bf16_runs_in_bf16(deployed):
    pytest.importorskip("openvino")
    if reason := by_name("openvino").unavailable_reason("cpu", "bf16"):
        pytest.skip(reason)
    done = deployed("synth", "openvino", precision="bf16")
    assert "bf16" in done.ran["arithmetic"] and 0 < done.worst_mm <= 0.3


@pytest.mark.parametrize("engine", made.ENGINES)
@pytest.mark.parametrize("dims", [2, 3])
def test_bundles_of_other_grids(dims, engine, tmp_path):
    pytest.importorskip(engine)
    path = parts.bundle(tmp_path, dims)
    turn = np.array([[0.8, -0.6, 0, 5], [0.6, 0.8, 0, -7], [0, 0, 1, 2], [0, 0, 0, 1]])
    grid = Grid((1 if dims == 2 else 9, 14, 11), turn @ np.diag([2.0, 1.5, 1.0, 1.0]))
    done = write_deployment(path, tmp_path / "it", grid, grid, engine=engine, threads=1)
    manifest = check_deployment(tmp_path / "it", runs=1).deployment.manifest
    assert manifest.output == "displacement" and manifest.dims == dims
    assert all(n % 4 == 0 for n in manifest.network_shape[3 - dims :])
    assert manifest.golden_limit_mm == pytest.approx(0.01 * max(manifest.spacing_mm[3 - dims :]))
    assert done.worst_mm == 0


@pytest.mark.parametrize("engine", made.ENGINES)
def test_a_descriptor_without_a_moving_golden_image(engine, tmp_path):
    pytest.importorskip(engine)
    grid = Grid((6, 14, 11), np.diag([2.0, 1.5, 1.0, 1.0]))
    path = made.descriptor_bundle(tmp_path)
    done = write_deployment(path, tmp_path / "it", grid, grid, engine=engine, threads=1)
    assert not (tmp_path / "it" / "golden_moving.f32").exists()
    assert done.deployment.manifest.planes == 2


@pytest.mark.parametrize("engine", made.ENGINES)
@pytest.mark.parametrize("stages", [1, 2])
def test_rigid_networks_have_files_and_times_each(engine, stages, tmp_path):
    pytest.importorskip(engine)
    done, path = made.rigid(tmp_path, engine, stages=stages)
    manifest = done.deployment.manifest
    assert (manifest.output, manifest.stages, manifest.refine) == ("rigid", stages, 0)
    assert len(manifest.expected_ms) == stages == len(done.stage_ms)
    assert {*os.listdir(tmp_path / "rigid")} == {
        "deployment.txt",
        *("golden_fixed.f32", "golden_moving.f32", "golden_output.f32"),
        *(network_file(name, stage) for name in NETWORK[engine] for stage in range(stages)),
    }
    golden = np.frombuffer(done.deployment.files["golden_output.f32"], "<f4").reshape(stages, 6)
    np.testing.assert_allclose(golden, open_bundle(path).golden().output, atol=1e-5)  # float32 means
    assert check_deployment(tmp_path / "rigid", runs=1).worst_mm == done.worst_mm <= manifest.golden_limit_mm


def test_the_window_of_rigid_networks_lies_around_the_centre_of_the_fixed_image(tmp_path):
    fixed = Grid((9, 14, 11), np.diag([2.0, 1.5, -1.0, 1.0]))
    manifest = made.rigid(tmp_path, grids=(fixed, fixed))[0].deployment.manifest
    assert manifest.network_shape == parts.WINDOW
    np.testing.assert_allclose(manifest.spacing_mm, parts.WINDOW_SPACING_MM)
    middle = [*((np.array(parts.WINDOW) - 1) / 2), 1]
    centre = np.reshape(manifest.network_to_fixed, (3, 4)) @ middle
    np.testing.assert_allclose(centre, (np.array(fixed.shape) - 1) / 2, atol=1e-9)


@pytest.mark.parametrize("stage", [0, 1])
def test_the_golden_motion_of_each_network_is_compared_at_the_corners_of_the_window(stage, tmp_path):
    done, _ = made.rigid(tmp_path)
    output = np.frombuffer(done.deployment.files["golden_output.f32"], "<f4").copy()
    corner_mm = np.hypot(21, 22)  # from the x axis, about which the innermost rotation turns
    for number, along_mm in ((0, 0.5), (3, 2 * np.sin(np.radians(0.25)) * corner_mm)):
        changed = output.copy()
        changed[6 * stage + number] += 0.5
        made.with_file(tmp_path / "rigid", "golden_output.f32", changed.tobytes())
        with pytest.raises(BundleError, match="MMREG_E_DEPLOYMENT_GOLDEN") as refused:
            check_deployment(tmp_path / "rigid", runs=1)
        off_mm = float(re.search(r"off by ([0-9.]+) mm", str(refused.value))[1])
        assert off_mm == pytest.approx(along_mm, abs=2e-3)  # three digits are printed


@pytest.mark.parametrize("engine", made.ENGINES)
def test_the_memory_of_the_network_is_measured(engine, tmp_path):
    pytest.importorskip(engine)
    path = made.descriptor_bundle(tmp_path)
    taken = {}
    for depth in (4, 128):  # of 128 x 128 voxels: an image and two planes
        grid = grid_of(f"{depth}x128x128@3")
        done = write_deployment(path, tmp_path / str(depth), grid, grid, engine=engine, threads=1)
        taken[depth] = done.deployment.manifest.memory_mb
    of_tensors_mb = 3 * 4 * (128 - 4) * 128 * 128 / 2**20
    assert of_tensors_mb * 0.9 < taken[128] - taken[4] < 10 * of_tensors_mb  # what a library adds varies


def test_networks_of_another_kind_are_refused(tmp_path):
    spec = {"kind": "affine", "factor": 1, "integration_steps": 0, "channels": 12}
    path = write_bundle(tmp_path / "one.mmreg", parts.manifest(output=spec), parts.files()).path
    grid = grid_of("20x20x20@5")
    with pytest.raises(BackendUnavailableError, match="affine") as refused:
        write_deployment(path, tmp_path / "it", grid, grid, engine="onnxruntime")
    assert refused.value.code == "MMREG_E_DEPLOYMENT_KIND"
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_in_the_way_stays_as_it_is(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "notes.txt").write_text("mine")
    with pytest.raises(InputError) as refused:
        made.tiny(tmp_path)
    assert refused.value.code == "MMREG_E_OUTPUT"
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["notes.txt"]
    assert not [*tmp_path.glob(".mmreg-*")]


def test_a_deployment_in_the_way_stays_as_it_is(tmp_path):
    made.tiny(tmp_path)
    before = (tmp_path / "tiny" / "deployment.txt").read_bytes()
    with pytest.raises(InputError):
        made.tiny(tmp_path)
    assert (tmp_path / "tiny" / "deployment.txt").read_bytes() == before


def test_a_failed_self_test_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("mmreg_rt.deployment.golden.distance", lambda *_: 1.0)
    with pytest.raises(BundleError) as refused:
        made.tiny(tmp_path)
    assert refused.value.code == "MMREG_E_DEPLOYMENT_GOLDEN"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny_source"]


def test_a_bundle_signed_by_another_key_is_refused(tmp_path):
    pytest.importorskip("cryptography")
    with pytest.raises(BundleError) as refused:
        made.tiny(tmp_path, public_key=made.public(made.KEY))
    assert refused.value.code == "MMREG_E_SIGNATURE_MISSING"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"precision": "bf16"}, "MMREG_E_BACKEND"),
        ({"precision": "int8"}, "MMREG_E_BUNDLE_PRECISION"),
        ({"engine": "tensorrt"}, "MMREG_E_DEPLOYMENT_ENGINE"),
        ({"cpu": "x86_64"}, "MMREG_E_DEPLOYMENT_CPU_NAME"),
        ({"moving": grid_of("12x12x12@2")}, "MMREG_E_DIMS_MISMATCH"),
        ({"fixed": grid_of("1200x1200@1")}, "MMREG_E_INTENDED_USE"),
        ({"threads": -1}, "MMREG_E_THREADS"),
    ],
)
def test_what_cannot_be_deployed_is_refused_by_name(tmp_path, options, code):
    with pytest.raises(Exception) as refused:  # noqa: PT011 (the code says which)
        made.tiny(tmp_path, **options)
    assert refused.value.code == code
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize("engine", made.ENGINES)
def test_networks_that_warp_need_no_operators_of_ours(engine):
    """A host that loads the files has the operators of the engine and no others."""
    pytest.importorskip(engine)
    pytest.importorskip("onnx")
    network = networks_.warping_network((5, 6, 7))
    rng = np.random.default_rng(0)
    inputs = {name: rng.random((1, 3, 5, 6, 7), np.float32) for name in ("fixed", "moving")}
    free = by_name("onnxruntime").load(network, precision="fp32", threads=1, device="cpu")
    with contextlib.closing(free):
        assert "mmreg" in free.runtime_info["warp"]  # Python has a faster one
        expected = free.infer(inputs).copy()
    shapes = {name: image.shape for name, image in inputs.items()} | {"output": expected.shape}
    files = engine_of(engine).converted(network, shapes)
    with contextlib.closing(engine_of(engine).load(files, "fp32", 1)) as session:
        assert "warp" not in session.runtime_info
        # positions near 6 voxels, in float32
        np.testing.assert_allclose(session.infer(inputs), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "shape", "spacing"),
    [
        ("160x192x160@1.5", (160, 192, 160), (1.5, 1.5, 1.5)),
        ("16x19x15@1.5x1x2", (16, 19, 15), (1.5, 1.0, 2.0)),
        ("64x80@0.5", (1, 64, 80), (1.0, 0.5, 0.5)),
    ],
)
def test_grids_as_numbers(text, shape, spacing):
    grid = grid_of(text)
    assert grid.shape == shape and grid.spacing_mm == spacing
    directions = grid.affine[:3, :3] / grid.spacing_mm
    np.testing.assert_array_equal(directions, np.eye(3)[::-1])  # axes 0, 1, 2 run to S, A, R


@pytest.mark.parametrize("text", ["64x80", "64x80@1x2x3", "64x80@1.2.3"])
def test_grids_without_a_spacing_are_refused(text):
    with pytest.raises(GeometryError, match="spacing"):
        grid_of(text)


def test_an_image_is_continued_by_its_mirror_images():
    image = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    larger = of_shape(image, (1, 3, 7))
    np.testing.assert_array_equal(larger[0, 0], [0, 1, 2, 2, 1, 0, 0])
    np.testing.assert_array_equal(larger[0, :, 0], [0, 3, 3])
    np.testing.assert_array_equal(of_shape(image, (1, 1, 2)), image[:, :1, :2])
