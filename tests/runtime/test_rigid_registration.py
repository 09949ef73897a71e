"""Networks that give rigid motions, one after the other: what they see, what comes of it, what is refused."""

import numpy as np
import pytest
from fixtures import bundle_parts as parts
from fixtures import pipeline, scene

from mmreg_rt import Registrar, Volume, _native
from mmreg_rt.bundle import write_bundle
from mmreg_rt.bundle.manifest import parse_manifest
from mmreg_rt.errors import CancelledError, InputError, RegistrationError
from mmreg_rt.geometry import Grid, rigid_motion
from mmreg_rt.network import Network
from mmreg_rt.preprocess.window import centre_mm, window_grid
from mmreg_rt.transform import Rigid

BACKENDS = ("openvino", "onnxruntime")
TRUTH = rigid_motion.matrix_of([5.0, -4.0, 3.0, 8.0, -6.0, 10.0])


def truth(points_mm):
    return Rigid(TRUTH).map_points(np.reshape(points_mm, (-1, 3))).reshape(np.shape(points_mm))


@pytest.fixture(scope="module")
def scans():
    return scene.scan(scene.PLAIN, True, truth), scene.scan(scene.OBLIQUE, True, seed=1)


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("rigid") / "two.mmreg"
    return write_bundle(path, parts.rigid_manifest(), parts.rigid_files()).path


@pytest.fixture(scope="module")
def manifest(bundle):
    from mmreg_rt.bundle import open_bundle

    return open_bundle(bundle).manifest


class Cascade:
    """Stands in for the networks: outputs the steps of a function, and keeps the images that it saw."""

    def __init__(self, fixed, step, stages=2):
        self.grid = window_of(fixed)
        self.step, self.images, self.stages = step, [], stages

    def run(self, stage, fixed, moving, numbers, _stop):
        self.images.append((fixed.copy(), moving.copy()))
        numbers[:] = self.step(stage)

    def register(self, scans, **options):
        times = [0.0] * self.stages
        spec = pipeline.engine(
            self.run, self.grid, "rigid", intensities=("percentile", 0, 100), expected_s=times
        )
        return pipeline.register(*scans, **({"engine": spec, "refine": False} | options))


def window_of(scan):
    centre = centre_mm(scan.grid, None)
    return window_grid(scan.grid, parts.PreprocessSpec(), centre, parts.WINDOW, parts.WINDOW_SPACING_MM)


def marked(scan, low, high):
    mask = np.zeros(scan.grid.shape, np.uint8)
    mask[tuple(slice(a, b) for a, b in zip(low, high))] = 1
    return Volume(mask, scan.grid)


def test_each_network_sees_the_pair_as_the_one_before_left_it(scans):
    networks = Cascade(scans[0], lambda stage: steps[stage])
    steps = [rigid_motion.missing(np.eye(4), TRUTH, networks.grid), np.zeros(6)]
    result = networks.register(scans)
    assert result.cascade.stages_run == 2
    np.testing.assert_allclose(result.rigid, TRUTH, atol=1e-9)
    (fixed, before), (again, after) = networks.images
    np.testing.assert_array_equal(fixed.shape, parts.WINDOW)
    assert np.abs(fixed - before).mean() > 3 * np.abs(again - after).mean()
    assert np.corrcoef(again.ravel(), after.ravel())[0, 1] > 0.98  # the same contrast: noise, interpolation


def test_the_images_are_scaled_together_to_0_and_1(scans):
    networks = Cascade(scans[0], lambda _: np.zeros(6))
    networks.register(scans)
    both = np.stack(networks.images[0])
    assert both.min() == 0
    assert both.max() == pytest.approx(1, abs=1e-6)  # float32


@pytest.mark.parametrize("grid", [scene.PLAIN, scene.OBLIQUE, scene.LEFT_HANDED])
def test_a_step_is_that_of_the_twin_in_every_frame(grid):
    """The native update beside ``rigid_motion.updated``, on frames that turn and mirror."""
    scan = scene.scan(grid, True)
    step = [3.0, -2.0, 1.0, 5.0, -4.0, 7.0]
    networks = Cascade(scan, lambda _: step, stages=1)
    expected = rigid_motion.updated(np.eye(4), step, networks.grid)
    np.testing.assert_allclose(networks.register((scan, scan)).rigid, expected, atol=1e-9)


def test_steps_of_the_networks_add_up_to_the_transform(scans, bundle, backend):
    found = Registrar(bundle, backend=backend, threads=1).register(*scans)
    grid = window_grid(scans[0].grid, parts.PreprocessSpec(), scans[0].grid.centre_mm,
                       parts.WINDOW, parts.WINDOW_SPACING_MM)  # fmt: skip
    expected = np.eye(4)
    for step in parts.STEPS:
        expected = rigid_motion.updated(expected, step, grid)
    np.testing.assert_allclose(found.rigid.matrix, expected, atol=1e-5)  # float32 numbers
    assert (found.affine, found.deformation) == (None, None)
    assert (found.finished, found.degraded) == ("network", False)
    assert tuple(found.seconds) == ("read", "check", "network", "finish")
    assert found.settings["rigid"]["stages_run"] == 2
    assert found.settings["network"]["backend"] == backend
    points = scene.INSIDE
    np.testing.assert_allclose(
        found.transform.map_points(points), Rigid(expected).map_points(points), atol=1e-3
    )
    back = found.inverse.map_points(found.rigid.map_points(points))
    np.testing.assert_allclose(back, points, atol=1e-3)
    expected_image = Rigid(expected).warp(scans[1], scans[0].grid).data
    np.testing.assert_allclose(found.warped.data, expected_image, atol=0.02)  # of 150: places in float32


def test_figures_before_are_those_of_the_headers(scans, bundle):
    plain = Registrar(align="none", deform=False, threads=1).register(*scans).quality
    found = Registrar(bundle, backend="onnxruntime", threads=1).register(*scans).quality
    # over the voxels that are seen before and after, which the transform decides
    assert found.nmi_before == pytest.approx(plain.nmi_before, rel=0.02)
    assert found.mind_before == pytest.approx(plain.mind_before, rel=0.1)
    assert found.nmi_after != pytest.approx(plain.nmi_after, rel=1e-3)
    assert found.folded_voxels == found.inverse_folded_voxels == 0


def test_figures_after_are_those_of_a_header_that_the_transform_moves(scans, bundle):
    found = Registrar(bundle, backend="onnxruntime", threads=1).register(*scans)
    fixed, moving = scans
    placed = Volume(
        moving.data, Grid(moving.grid.shape, np.linalg.inv(found.rigid.matrix) @ moving.grid.affine)
    )
    plain = Registrar(align="none", deform=False, threads=1).register(fixed, placed)
    for name in ("nmi_after", "mind_after", "overlap_fraction"):
        assert getattr(found.quality, name) == pytest.approx(getattr(plain.quality, name), rel=0.02)
    np.testing.assert_allclose(found.warped.data, plain.warped.data, atol=0.02)  # places in float32


def test_what_is_aligned_has_no_other_start():
    with pytest.raises(ValueError, match="start requires align='none'"):
        _native.Options(align="rigid", start=np.eye(4))


def right(matrix, grid):
    """Two networks that bring the pair near to ``matrix``."""
    near = rigid_motion.updated(matrix, [0.8, -0.6, 0.5, 1.0, 1.0, -1.0], grid)
    return rigid_motion.missing(np.eye(4), near, grid)


@pytest.fixture(scope="module")
def near(tmp_path_factory, scans):
    grid = window_grid(scans[0].grid, parts.PreprocessSpec(), scans[0].grid.centre_mm,
                       parts.WINDOW, parts.WINDOW_SPACING_MM)  # fmt: skip
    steps = np.stack([right(TRUTH, grid), np.zeros(6)])
    fixed, moving = np.random.default_rng(2).random((2, *parts.WINDOW), np.float32)
    files = parts.rigid_files(
        **{
            "net.onnx": parts.ox.rigid(steps[0], parts.WINDOW),
            "net.stage2.onnx": parts.ox.rigid(steps[1], parts.WINDOW),
            "golden.npz": parts.golden_bytes(fixed, moving, steps),
        }
    )
    path = tmp_path_factory.mktemp("near") / "near.mmreg"
    return write_bundle(path, parts.rigid_manifest(), files).path


def test_the_solver_goes_on_from_the_networks_when_asked(scans, near):
    asked = {"backend": "onnxruntime", "threads": 1}
    left, refined = (Registrar(near, refine=refine, **asked).register(*scans) for refine in (None, True))
    errors = [
        scene.distance_mm(r.rigid.map_points(scene.INSIDE), truth(scene.INSIDE)) for r in (left, refined)
    ]
    assert left.settings["rigid"]["refinement"] == "not wanted"
    assert refined.settings["rigid"]["refinement"] == "accepted"
    assert refined.finished == "align"
    assert errors[1] < 0.5 * errors[0]


def test_a_solver_that_leaves_the_place_is_not_followed(scans, bundle):
    """The networks of this bundle lead elsewhere; the solver knows better, and is not trusted so far away."""
    found = Registrar(bundle, refine=True, backend="onnxruntime", threads=1).register(*scans)
    assert found.settings["rigid"]["refinement"].startswith("rejected")
    assert (found.finished, found.degraded) == ("network", False)


def test_time_that_is_up_leaves_what_is_finished(scans):
    networks = Cascade(scans[0], lambda _: np.zeros(6))
    result = networks.register(scans, deadline_s=1e-9)
    assert (result.cascade.stages_run, result.degraded, networks.images) == (0, True, [])
    assert result.network.end == "not begun"


def test_a_deadline_gives_the_start_marked_as_degraded(scans, near):
    found = Registrar(near, backend="onnxruntime", threads=1, refine=True).register(*scans, deadline_ms=1e-3)
    assert found.degraded
    assert found.finished == ""
    np.testing.assert_array_equal(found.rigid.matrix, np.eye(4))


def test_a_callback_can_cancel(scans, near):
    with pytest.raises(CancelledError):
        Registrar(near, backend="onnxruntime", progress=lambda stage, _: stage == "network").register(*scans)


def test_the_window_lies_around_the_mask(scans, bundle):
    fixed, moving = scans
    mask = marked(fixed, (4, 6, 8), (10, 20, 16))
    result = Registrar(bundle, backend="onnxruntime").register(fixed, moving, fixed_mask=mask)
    centre = fixed.grid.map_indices([[6.5, 12.5, 11.5]])[0]
    np.testing.assert_allclose(result.settings["rigid"]["window_centre_mm"], centre, atol=1e-9)


@pytest.mark.parametrize("same_space", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_the_start_is_what_headers_or_masks_say(scans, near, same_space, masked):
    fixed, moving = scans
    names = {}
    if masked:
        names = {
            "fixed_mask": marked(fixed, (4, 6, 8), (10, 20, 16)),
            "moving_mask": marked(moving, (2, 2, 2), (9, 9, 9)),
        }
    registrar = Registrar(near, backend="onnxruntime", same_space=same_space)
    start = registrar.register(fixed, moving, deadline_ms=1e-3, **names).rigid  # no network has the time
    if same_space and not masked:
        np.testing.assert_array_equal(start.matrix, np.eye(4))
        return
    centres = ([[6.5, 12.5, 11.5]], [[5, 5, 5]]) if masked else [(np.array([g.shape]) - 1) / 2 for g in
                                                                 (fixed.grid, moving.grid)]  # fmt: skip
    mapped = start.map_points(fixed.grid.map_indices(centres[0]))
    np.testing.assert_allclose(mapped, moving.grid.map_indices(centres[1]), atol=1e-9)


def test_a_network_that_gives_no_numbers_is_not_used(bundle, monkeypatch):
    network = Network(bundle, backend="onnxruntime")
    monkeypatch.setattr(type(network._sessions[1]), "infer", lambda *_: np.full((1, 6), np.nan, np.float32))
    with pytest.raises(RegistrationError, match="at fault.*6 of 6 that are not"):
        network.predict_motion(1, *np.zeros((2, *parts.WINDOW), np.float32))


def test_plans_and_slices_are_refused(scans, bundle):
    registrar = Registrar(bundle, backend="onnxruntime")
    with pytest.raises(InputError, match="'rigid'"):
        registrar.plan(scans[0].grid, scans[1].grid)
    flat = scene.scan(scene.FLAT, True)
    with pytest.raises(InputError, match="MMREG_E_INTENDED_USE"):
        registrar.register(flat, flat)


def test_a_manifest_is_the_same_after_it_was_written(manifest):
    import json

    assert parse_manifest(json.dumps(manifest.as_dict()).encode()) == manifest
    assert [stage["fp32"] for stage in manifest.stages] == ["net.onnx", "net.stage2.onnx"]
