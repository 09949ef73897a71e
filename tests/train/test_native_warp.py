"""The runtime's warp as an operation of torch: torch's own checks, and its own grid_sample as the twin."""

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
layers = pytest.importorskip("mmreg_train.layers")
native = pytest.importorskip("mmreg_train.layers.native")

SIZES = [(9, 8), (7, 6, 8), (1, 5, 6)]
DEVICES = ["cpu", "cuda"]


@pytest.fixture(params=DEVICES)
def device(request):
    if request.param == "cuda":
        from mmreg_rt import _native

        if not torch.cuda.is_available() or (reason := _native.why_no_device("cuda")):
            pytest.skip("no CUDA device" if not torch.cuda.is_available() else reason)
    return request.param


def case(size, device, batch=2, channels=3):
    """Images and displacements whose points lie well within cells, where derivatives exist."""
    torch.manual_seed(4)
    dims = len(size)
    image = torch.randn(batch, channels, *(n + 1 for n in size), device=device)
    whole = torch.randint(-3, 4, (batch, dims, *size), device=device)
    displacement = whole + 0.2 + 0.6 * torch.rand(batch, dims, *size, device=device)
    return image, displacement


def by_torch(image, displacement, border):
    """In float64, by grid_sample."""
    padding = "zero" if border == "zero" else "border"
    return layers.warp(image.double(), displacement.double(), padding=padding)


@pytest.mark.parametrize("border", ["zero", "extend"])
@pytest.mark.parametrize("size", SIZES)
def test_values_and_derivatives_are_those_of_grid_sample_in_float64(size, border, device):
    image, displacement = case(size, device)
    if size[0] == 1 and border == "extend":
        displacement[:, 0] = 0  # off the only slice grid_sample clips like this too, but not at its edges
    upstream = torch.randn(2, 3, *size, device=device)
    found = []
    for made in (native.warp, by_torch):
        leaves = [tensor.clone().requires_grad_() for tensor in (image, displacement)]
        warped = made(*leaves, border)
        warped.backward(upstream.to(warped.dtype))
        found.append([warped.detach(), *(leaf.grad for leaf in leaves)])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine.double(), theirs.double(), atol=2e-5, rtol=1e-5)


QUICK = ("test_schema", "test_autograd_registration", "test_faketensor")


@pytest.mark.parametrize("size", [(3, 4), (2, 3, 4)])
def test_torch_accepts_the_operations(size, device):
    image, displacement = case(size, device, batch=1)
    upstream = torch.randn(1, 3, *size, device=device)
    for needed in ((False, True), (True, False), (False, False)):
        leaves = [t.clone().requires_grad_(n) for t, n in zip((image, displacement), needed, strict=True)]
        torch.library.opcheck(native.warp, (*leaves, "zero"), test_utils=QUICK)
    torch.library.opcheck(
        native.warp_grad_displacement, (image, displacement, upstream, "zero"), test_utils=QUICK
    )
    torch.library.opcheck(
        native.warp_grad_image, (upstream, displacement, list(image.shape[2:]), "zero"), test_utils=QUICK
    )


def test_torch_compiles_the_operations(device):
    leaves = [tensor.requires_grad_() for tensor in case((2, 3, 4), device, batch=1)]
    torch.library.opcheck(native.warp, (*leaves, "zero"))


@pytest.mark.filterwarnings(
    "ignore:Input .* requires gradient and is not a double"
)  # float32 is what there is
@pytest.mark.parametrize("border", ["zero", "extend"])
@pytest.mark.parametrize("size", [(4, 5), (3, 4, 5)])
def test_gradcheck(size, border, device):
    image, displacement = case(size, device, batch=1, channels=2)
    leaves = [image.requires_grad_(), displacement.requires_grad_()]
    # float32: a step of 2^-7 leaves 17 bits of the difference, and stays within the cell, where the warp is
    # linear in the image and in each component of the displacement
    torch.autograd.gradcheck(
        lambda i, u: native.warp(i, u, border), leaves, eps=2**-7, atol=2e-3, rtol=2e-3, fast_mode=False
    )


def test_the_same_bits_every_time(device):
    image, displacement = case((12, 10, 14), device)
    upstream = torch.randn(2, 3, 12, 10, 14, device=device)
    results = [
        (
            native.warp(image, displacement, "zero"),
            native.warp_grad_displacement(image, displacement, upstream, "zero"),
            native.warp_grad_image(upstream, displacement, list(image.shape[2:]), "zero"),
        )
        for _ in range(3)
    ]
    for again in results[1:]:
        for first, second in zip(results[0], again, strict=True):
            assert torch.equal(first, second)


def test_memory_in_any_order_is_taken(device):
    image, displacement = case((6, 7, 8), device)
    strange = image.transpose(2, 4).contiguous().transpose(2, 4)
    last = displacement.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(native.warp(strange, last, "zero"), native.warp(image, displacement, "zero"))


@pytest.mark.parametrize("size", SIZES)
def test_half_images_are_warped_and_differentiated_in_float32(size, device):
    image, displacement = case(size, device)
    image = image.half()
    upstream = torch.randn(2, 3, *size, device=device).half()
    found = []
    for given in (image, image.float()):
        leaves = [given.clone().requires_grad_(), displacement.clone().requires_grad_()]
        warped = layers.warp(*leaves)
        warped.backward(upstream.to(warped.dtype))
        found.append([warped.half(), leaves[0].grad.half(), leaves[1].grad])
        assert warped.dtype == leaves[0].grad.dtype == given.dtype
    for mine, theirs in zip(*found, strict=True):
        assert torch.equal(mine, theirs)


def test_a_batch_is_one_call_of_the_compiled_module(device, monkeypatch):
    calls = []
    run = native._run
    monkeypatch.setattr(native, "_run", lambda *given, **named: calls.append(given) or run(*given, **named))
    leaves = [tensor.requires_grad_() for tensor in case((6, 7, 8), device, batch=4)]
    native.warp(*leaves, "zero").sum().backward()
    assert sorted(name for name, *_ in calls) == ["warp", "warp_grad_displacement", "warp_grad_image"]


def test_no_sample_at_all_is_a_batch(device):
    image, displacement = case((6, 7, 8), device, batch=0)
    assert native.warp(image, displacement, "zero").shape == (0, 3, 6, 7, 8)
