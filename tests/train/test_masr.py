"""MASR-Net: the published counts of weights, what its descriptor ignores, and that it learns to."""

import numpy as np
import pytest
from fixtures.onnx_parity import runs_alike

torch = pytest.importorskip("torch", reason="training needs PyTorch")
methods = pytest.importorskip("mmreg_train.methods")
contrast = pytest.importorskip("mmreg_train.losses.contrastive")
masr = pytest.importorskip("mmreg_train.methods.masr")
network = pytest.importorskip("mmreg_train.layers.self_similarity")
synth = pytest.importorskip("mmreg_train.data.synthesis")


@pytest.mark.parametrize(("relation", "weights"), [("sum", 324_508), ("mixed", 324_628)])
def test_has_the_number_of_weights_of_the_paper(relation, weights):
    method = methods.create("masr", relation=relation)
    assert sum(weight.numel() for weight in method.parameters()) == weights


@pytest.mark.parametrize("relation", ["sum", "mixed"])
@pytest.mark.parametrize(("dims", "channels"), [(2, 24), (3, 24), (3, 12)])
def test_descriptors_are_unit_vectors_on_the_grid_of_the_image(dims, channels, relation):
    method = methods.create("masr", dims=dims, channels=channels, relation=relation)
    size = (16, 24, 8)[:dims]
    output = method(*torch.rand(2, 2, 1, *size))
    for value in output.value:
        assert value.shape == (2, channels, *size)
        assert (value.detach().norm(dim=1) - 1).abs().max() < 0.01  # 1e-6 under the root keeps zero finite


def test_one_scan_is_looked_at_once():
    method = methods.create("masr", dims=2)
    scan = torch.rand(1, 1, 16, 16)
    output = method(scan, scan)
    assert output.value[0] is output.value[1]
    assert set(method.loss(methods.Batch(scan, scan), output)) == {"contrastive", "retrieval", "total"}


def test_relations_agree_with_their_definition():
    features = torch.randn(1, 4, 7, 8, 9)
    related = network.dns(features)[0].numpy()
    padded = np.pad(features[0].numpy().astype(float), ((0, 0), *3 * ((2, 2),)), mode="edge")
    p = np.array([3, 4, 5]) + 2
    for radius, found in ((1, related[:12]), (2, related[12:])):
        steps = [sign * radius * axis for axis in np.eye(3, dtype=int) for sign in (-1, 1)]
        at = [padded[(slice(None), *(p + step))] for step in steps]
        chosen = [(i, j) for i in range(6) for j in range(i + 1, 6) if (steps[i] + steps[j]).any()]
        distance = np.array([((at[i] - at[j]) ** 2).sum() for i, j in chosen])
        np.testing.assert_allclose(found[:, 3, 4, 5], np.exp(-distance / distance.mean()), rtol=1e-5)


def test_relations_of_a_constant_are_one():
    assert (network.dns(torch.full((1, 4, 6, 6, 6), 0.3)) == 1).all()


def test_blur_pool_keeps_a_constant_and_the_cell_centres_of_a_ramp():
    assert torch.allclose(network.BlurPool(3, 2)(torch.ones(1, 2, 8, 6, 4)), torch.ones(1, 2, 4, 3, 2))
    pooled = network.BlurPool(2, 1)(torch.arange(12.0).expand(1, 1, 12, 12))
    assert torch.allclose(pooled[0, 0, 3, 1:-1], 2 * torch.arange(1.0, 5) + 0.5)


def test_a_shift_of_the_scan_shifts_the_descriptor():
    network = methods.create("masr", dims=2).network().eval()
    scan = torch.zeros(1, 1, 192, 192)  # borders are out of reach of the textured part
    scan[..., 80:100, 80:104] = torch.rand(20, 24)
    with torch.no_grad():
        first, second = network(scan), network(scan.roll(8, 3))  # 8: the sampling of the coarsest level
    inside = (slice(None), slice(None), slice(80, 100), slice(80, 104))
    assert torch.allclose(first[inside], second.roll(-8, 3)[inside], atol=1e-5)


def test_remapping_is_monotone_or_inverted_and_keeps_the_range():
    ramp = torch.linspace(0, 1, 64).expand(32, 1, 64)
    mapped = contrast.remap_intensities(ramp)
    rising, falling = ((sign * mapped.diff() > -1e-5).all(-1).flatten() for sign in (1, -1))
    assert (rising ^ falling).all()
    assert 4 < rising.sum() < 28
    assert mapped.min() >= 0
    assert mapped.max() <= 1
    assert torch.equal(mapped.amin(-1).round(decimals=4), torch.zeros(32, 1))
    assert len(mapped[:, 0, 20].round(decimals=3).unique()) > 16


def test_locations_are_foreground_and_differ():
    scan = torch.zeros(1, 20, 20)
    scan[:, 5:15, 5:15] = 0.5
    where = contrast.sample_foreground(scan, 0.02, 40)
    assert (scan.flatten()[where] > 0).all()
    assert len(where.unique()) == 40
    assert len(contrast.sample_foreground(scan, 0.02, 999)) == 100
    assert len(contrast.sample_foreground(0 * scan, 0.02, 30)) == 30


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_the_loss_is_the_cross_entropy_of_the_diagonal_in_any_chunks(chunk):
    vectors = torch.nn.functional.normalize(torch.randn(2, 30, 8, requires_grad=True), dim=2)
    loss, found = contrast.location_loss(*vectors, 0.07, chunk)
    scores = vectors[0] @ vectors[1].T / 0.07
    expected = torch.nn.functional.cross_entropy(scores, torch.arange(30))
    assert torch.allclose(loss, expected, rtol=1e-5)
    assert float(found) == pytest.approx(float((scores.argmax(1) == torch.arange(30)).float().mean()))
    ours, theirs = (torch.autograd.grad(value, vectors, retain_graph=True)[0] for value in (loss, expected))
    assert torch.allclose(ours, theirs, atol=1e-6)


def unit_vectors(*shape):
    return torch.nn.functional.normalize(torch.randn(1, *shape), dim=1)


def test_the_score_of_a_shift_is_minus_half_the_mean_square_over_a_patch():
    a, b = unit_vectors(3, 14, 15), unit_vectors(3, 14, 15)
    shifts, reach, patch = [[0, 0], [2, -1], [-3, 3]], 3, 3
    scores = contrast._shift_scores(a, b, shifts, reach, patch)
    expected = []
    for y in range(reach, 14 - reach - patch + 1):  # patches start at every voxel: half of 3, rounded down
        for x in range(reach, 15 - reach - patch + 1):
            row = []
            for dy, dx in shifts:
                here = a[0, :, y : y + patch, x : x + patch].double()
                there = b[0, :, y + dy : y + dy + patch, x + dx : x + dx + patch].double()
                row.append(-float(((here - there) ** 2).sum(0).mean()) / 2)
            expected.append(row)
    assert torch.allclose(scores.double(), torch.tensor(expected, dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize("size", [(40, 44), (26, 24, 28)])
def test_a_shift_of_one_voxel_is_told_and_costs(size):
    view, everywhere = unit_vectors(6, *size), torch.ones(1, 1, *size)
    same, found = contrast.shift_loss(view, view, everywhere, 0.03)
    shifted, found_shifted = contrast.shift_loss(view, view.roll(1, -1), everywhere, 0.03)
    assert float(found) == 1
    assert found_shifted < 0.95  # the shift itself is seldom among the drawn ones
    assert same < 0.3 * shifted  # noise has no means, so that coarse cells are hard to tell


def test_shifts_count_only_inside():
    view, inside = unit_vectors(6, 48, 48), torch.zeros(1, 1, 48, 48)
    inside[..., :24] = 1
    half = torch.where(inside > 0, view, view.roll(1, -1))
    elsewhere = torch.where(inside > 0, view.roll(1, -1), view)
    assert float(contrast.shift_loss(view, half, inside, 0.03)[1]) > 0.85  # patches reach over the border
    assert float(contrast.shift_loss(view, elsewhere, inside, 0.03)[1]) < 0.8
    with pytest.raises(ValueError, match="too small"):
        contrast.shift_loss(view[..., :8, :8], view[..., :8, :8], inside[..., :8, :8], 0.03)


def test_shifts_are_drawn_up_to_their_reach():
    drawn = torch.tensor([shift for _ in range(50) for shift in contrast._shifts(3, 6)[1:]])
    longest = drawn.abs().amax(1)
    assert set(longest.tolist()) == set(range(1, 7))
    assert (longest == 1).sum() > (longest == 6).sum()
    assert contrast._shifts(3, 6)[0] == [0, 0, 0]


def test_positives_of_a_deformed_view_are_corresponding_points(monkeypatch):
    method = methods.create("masr", dims=2, warp_sd_vox=1.0, locations=300)
    scan = torch.rand(1, 1, 32, 32)
    monkeypatch.setattr(masr, "remap_intensities", lambda image: image)
    shift = torch.zeros(1, 2, 32, 32)
    shift[:, 1] = 8  # the sampling of the coarsest level, so that descriptors shift along
    monkeypatch.setattr(method, "_displacement", lambda _: shift)
    with torch.no_grad():
        output = method(scan, scan)
        deformed = method.loss(methods.Batch(scan, scan), output)["retrieval"]
        monkeypatch.setattr(method, "_displacement", lambda _: 0 * shift)
        plain = method.loss(methods.Batch(scan, scan), output)["retrieval"]
    assert plain == 1
    assert deformed > 0.2  # borders differ; chance is 1 / 300


@pytest.fixture
def compared(monkeypatch):
    """The descriptors that locations are told apart by, as they are handed to the loss."""
    handed = []

    def loss(a, b, *_):
        handed.append((a, b))
        return torch.zeros(()), torch.zeros(())

    monkeypatch.setattr(masr, "location_loss", loss)
    return handed


def test_windows_lie_anywhere_and_only_what_both_saw_is_compared(compared):
    method = methods.create("masr", dims=2, channels=1, across=True, shift_vox=8, locations=10_000)
    method.describe = torch.nn.Identity()
    fixed = torch.rand(1, 1, 24, 32) + 0.1
    seen = []
    for _ in range(40):
        output = method(fixed, fixed.clone())
        for look in output.value:
            inside = look[0, 0] != 0
            assert torch.equal(look[0, 0][inside], fixed[0, 0][inside])
            rows, columns = inside.any(1).nonzero(), inside.any(0).nonzero()
            assert (len(rows), len(columns), int(inside.sum())) == (16, 24, 16 * 24)
            seen.append((int(rows[0]), int(columns[0])))
        method.loss(methods.Batch(fixed, fixed.clone()), output)
        assert all(torch.equal(a, b) for a, b in compared)
        both = (output.value[0] != 0) & (output.value[1] != 0)
        assert len(compared[-1][0]) == int(both.sum())
    assert {row for row, _ in seen} == {column for _, column in seen} == set(range(9))
    assert torch.equal(method.eval()(fixed, fixed).value[0], fixed)


def test_views_are_across_contrasts_or_deformed():
    with pytest.raises(ValueError, match="not both"):
        methods.create("masr", across=True, warp_sd_vox=1.0)


def test_across_contrasts_a_voxel_is_compared_with_the_same_voxel_of_the_other_image(monkeypatch, compared):
    """With descriptors that are the image itself, and no remapping, only equal images agree."""
    method = methods.create("masr", dims=2, channels=1, across=True, locations=64)
    method.describe = torch.nn.Identity()
    monkeypatch.setattr(masr, "remap_intensities", lambda image: image)
    fixed, moving = torch.rand(2, 1, 1, 16, 16) + 0.1
    method.loss(methods.Batch(fixed, moving), method(fixed, moving))
    pairs = {float(a): float(b) for a, b in zip(fixed.flatten(), moving.flatten())}
    assert [pairs[float(a)] for a in compared[0][0][:, 0]] == compared[0][1][:, 0].tolist()
    assert len(compared) == 2


def test_across_contrasts_a_displaced_voxel_is_compared_with_itself(compared):
    method = methods.create("masr", dims=2, channels=2, across=True, locations=10_000)
    method.describe = torch.nn.Identity()
    angle = torch.rand(1, 1, 24, 24)
    fixed = torch.cat([angle.cos(), angle.sin()], dim=1)  # two channels: the descriptor itself
    displacement = torch.zeros(1, 2, 24, 24)
    displacement[:, 1] = 3
    moving = fixed.roll(3, 3)  # moving(p + 3) is fixed(p)
    batch = methods.Batch(angle + 0.1, angle + 0.1, displacement=displacement)
    method.loss(batch, methods.Output("descriptor", (fixed, moving)))
    assert len(compared) == 2
    for one, other in compared:
        assert len(one) == 24 * 21  # the rest comes from outside
        assert torch.allclose(one, other, atol=1e-6)


def test_labels_are_told_apart_by_their_directions():
    method = methods.create("masr", dims=2, channels=8, labels=[0, 2, 41])
    anatomy = method.anatomy
    described = torch.nn.functional.normalize(anatomy.direction.detach())
    loss, found = anatomy(described, torch.tensor([0, 2, 41]))
    assert float(found) == 1
    wrong, missed = anatomy(described, torch.tensor([41, 0, 2]))
    assert float(missed) == 0
    assert wrong > loss
    with_unknown = anatomy(torch.cat([described, described]), torch.tensor([0, 2, 41, 7, 40, 10_003]))
    assert torch.allclose(with_unknown[0], loss)
    nothing, none = anatomy(described, torch.tensor([5, 6, 99]))
    assert (float(nothing), float(none)) == (0, 0)
    nothing.backward()  # other processes wait for a gradient
    exported = sum(weight.numel() for weight in method.network().parameters())
    assert sum(weight.numel() for weight in method.parameters()) == exported + 3 * 8
    scan = torch.rand(1, 1, 16, 16)
    output = method(scan, scan)
    with pytest.raises(ValueError, match="the batch has none"):
        method.loss(methods.Batch(scan, scan), output)


def test_labels_of_one_group_share_a_direction():
    method = methods.create("masr", dims=2, channels=8, labels=[0, [2, 41]])
    assert method.anatomy.direction.shape == (2, 8)
    described = torch.nn.functional.normalize(method.anatomy.direction.detach())[[1, 1, 0]]
    assert float(method.anatomy(described, torch.tensor([2, 41, 0]))[1]) == 1
    with pytest.raises(ValueError, match="different"):
        methods.create("masr", dims=2, labels=[[2, 41], 2])


def test_terms_are_weighted():
    weights = {"location_weight": 0.2, "near_weight": 0.5, "label_weight": 0.3}
    method = methods.create("masr", dims=2, channels=8, labels=[1], across=True, **weights)
    scans, labels = torch.rand(2, 1, 1, 48, 48), torch.ones(2, 1, 48, 48, dtype=torch.int64)
    terms = method.loss(methods.Batch(*scans, *labels), method(*scans))
    total = 0.2 * terms["contrastive"] + 0.5 * terms["near"] + 0.3 * terms["label"]
    assert torch.allclose(terms["total"], total)
    assert 0 <= float(terms["near_found"]) <= 1


def test_learns_to_find_locations_under_other_intensities():
    method = methods.create("masr", dims=2, channels=12, locations=256)
    shapes = synth.Synthesis.shapes((64, 64), labels=8, shape_scales_vox=(8, 16))
    batches = [synth.pair(seed, shapes) for seed in range(4)]
    optimiser = torch.optim.Adam(method.parameters(), 2e-3)

    def retrieval():
        torch.manual_seed(1)
        with torch.no_grad():
            found = [method.loss(b, method(b.fixed, b.moving))["retrieval"] for b in batches]
        return float(torch.stack(found).mean())

    before = retrieval()
    for step in range(40):
        batch = batches[step % 4]
        terms = method.loss(batch, method(batch.fixed, batch.moving))
        optimiser.zero_grad()
        terms["total"].backward()
        optimiser.step()
    assert retrieval() > before + 0.1


@pytest.mark.parametrize("relation", ["sum", "mixed"])
def test_exports_with_dynamic_sizes(relation):
    network = methods.create("masr", channels=12, relation=relation).network()
    model = runs_alike(network, ("image",), [(16, 32, 48), (32, 32, 16)], atol=1e-3)
    assert "GridSample" not in {node.op_type for node in model.graph.node}


def test_settings_that_cannot_be_used_are_refused():
    for settings, message in (({"relation": "max"}, "'max'"), ({"channels": 0}, "found 0")):
        with pytest.raises(ValueError, match=message):
            methods.create("masr", **settings)
