"""What every method promises, and what is asked of the list of methods."""

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
methods = pytest.importorskip("mmreg_train.methods")

SMALL = {
    "attention_reg": {"pooled": (2, 4, 4)},
    "ldm_morph": {
        "autoencoder_width": 8,
        "autoencoder_blocks": 1,
        "codes": 16,
        "diffusion_width": 8,
        "diffusion_blocks": 1,
        "head_channels": 8,
        "groups": 4,
        "width": 8,
        "depths": (2, 1, 1, 1),
        "heads": (2, 2, 2, 2),
        "cross_heads": 2,
        "window": 3,
    },
    "brain": {"width": 4},
    "voxelmorph": {},
    "innreg": {"blocks": 2, "width": 2, "kernel": 3},
    "llm_morph": {"backbone": "none"},
    "masr": {"locations": 64},
    "transmorph": {"width": 6, "heads": (2, 2, 4, 4), "window": (2, 2, 2), "drop_path": 0.0},
}


def pair(method, labels=4):
    size = method.window.size if method.window else (method.multiple,) * method.dims
    shape = (1, 1, *size)
    hot = [torch.randint(0, labels, (1, *size)) for _ in range(2)]
    return methods.Batch(torch.rand(shape), torch.rand(shape), *hot, rigid=torch.rand(1, 6))


def test_no_method_is_left_out():
    assert set(SMALL) == set(methods.names())


@pytest.mark.parametrize("name", SMALL)
def test_a_method_keeps_its_promises(name):
    method = methods.create(name, **SMALL[name])
    batch = pair(method)
    output = method(batch.fixed, batch.moving)
    assert output.kind == method.output_kind
    values = output.value if isinstance(output.value, tuple) else (output.value,)
    grid = () if output.kind == "rigid" else tuple(n // method.factor for n in batch.fixed.shape[2:])
    expected = (1, method.channels, *grid)
    assert all(value.shape == expected for value in values)
    terms = method.loss(batch, output)
    assert all(term.dim() == 0 for term in terms.values())
    terms["total"].backward()
    gradients = [weight.grad for weight in method.parameters() if weight.requires_grad]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().max() > 0 for gradient in gradients)


@pytest.mark.parametrize("name", SMALL)
def test_settings_and_weights_build_the_same_method_again(name):
    method = methods.create(name, **SMALL[name]).eval()
    again = methods.create(name, **method.settings).eval()
    again.load_state_dict(method.state_dict())
    batch = pair(method)
    first, second = (each(batch.fixed, batch.moving).value for each in (method, again))
    first, second = (value if isinstance(value, tuple) else (value,) for value in (first, second))
    assert all(torch.equal(a, b) for a, b in zip(first, second))


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="voxelmorph"):
        methods.create("voxelmoph")
    with pytest.raises(ValueError, match="dims=4"):
        methods.create("voxelmorph", dims=4)


def test_a_descriptor_has_no_displacement():
    with pytest.raises(ValueError, match="'descriptor'"):
        methods.create("voxelmorph").displacement(methods.Output("descriptor", (torch.zeros(1),) * 2))


@pytest.mark.parametrize("name", SMALL)
def test_what_is_compiled_is_what_a_step_runs(name):
    method, ran = methods.create(name, **SMALL[name]), []
    module = method.compilable_module((method.phases or ("",))[-1])
    assert module is method.compilable_module((method.phases or ("",))[-1])
    module.register_forward_hook(lambda *_: ran.append(name))
    batch = pair(method)
    method(batch.fixed, batch.moving)
    assert ran


@pytest.mark.parametrize(
    ("name", "settings", "needed"),
    [
        ("attention_reg", {}, {"rigid"}),
        ("attention_reg", {"surface": 0.5}, {"rigid", "surface"}),
        ("brain", {}, {"fixed_label"}),
        ("masr", {}, set()),
        ("masr", {"labels": [1, 2]}, {"fixed_label"}),
        ("voxelmorph", {"image": None, "known": 1.0}, {"displacement"}),
        ("voxelmorph", {"image": "mse", "known": 1.0}, set()),  # where it is known
        ("voxelmorph", {"image": "mse", "dice": 1.0, "known": 1.0}, {"fixed_label", "moving_label"}),
    ],
)
def test_what_the_loss_cannot_do_without_is_known_before_the_training(name, settings, needed):
    assert methods.create(name, **settings).required_targets() == needed


def test_methods_load_when_they_are_created_and_need_torch_and_the_compiled_warp_alone():
    code = (
        "import sys, mmreg_train.methods as m\n"
        "loaded = {n for n in sys.modules if n.startswith('mmreg_train.methods.')}\n"
        "assert loaded == {'mmreg_train.methods.base'}\n"
        "m.create('voxelmorph', encoder=(2,), decoder=(2, 2))\n"
        "print(*{'mmreg_rt.io', 'mmreg_export', 'lightning', 'monai', 'onnx', 'scipy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
