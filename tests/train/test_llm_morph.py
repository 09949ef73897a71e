"""LLM-Morph: the geometry of its tokens, what is frozen and what learns, LoRA, checkpoints."""

import os
import subprocess
import sys
from itertools import product

import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

torch = pytest.importorskip("torch", reason="training needs PyTorch")
methods = pytest.importorskip("mmreg_train.methods")
for package in ("transformers", "peft"):
    pytest.importorskip(package, reason="layers of language models need the extra llm")

from benchmarks.accuracy import byte_language_model as bytes_model  # noqa: E402

from mmreg_train.config.training import configs_folder, read_config  # noqa: E402
from mmreg_train.engine.checkpoint import read_checkpoint, write_checkpoint  # noqa: E402
from mmreg_train.layers import upsample  # noqa: E402
from mmreg_train.methods.llm_morph.backbone import shape_of  # noqa: E402
from mmreg_train.methods.llm_morph.network import OutOfLanguage  # noqa: E402

# two key heads for four query heads, as in large models
SHAPE = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
TINY = {
    "dims": 2,
    "backbone_config": SHAPE,
    "encoder": (4, 4, 8, 8, 8),
    "adapters": (8, 4, 4, 4),
    "decoder": (8, 8, 8, 8, 8),
    "adapter_width": 8,
}
LAYER = 218_112_000  # weights of a layer of LLaMA-3-8B
LORA = 65_536 + 40_960  # of rank 8 on its queries and values
SMALLEST = bytes_model.Settings(width=32, layers=3, context=32, batch=8, steps=60, learning_rate=1e-2)


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    """A folder with a language model of this repository, and what was said of its training."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("language") / "bytes"
    texts = [b"the fixed and the moving scan of case %d lie on one grid. " % n * 3 for n in range(100)]
    return folder, bytes_model.train(folder, SMALLEST, texts)


def tiny(backbone="random", **settings):
    torch.manual_seed(4)
    return methods.create("llm_morph", **{**TINY, "backbone": backbone, **settings})


def stirred(method, scale=0.3):
    """With weights that are 0 or close to it at the start made large: LoRA counts, fields are voxels long."""
    torch.manual_seed(5)
    for name, weights in method.named_parameters():
        if "lora_B" in name or "head.weight" in name:
            weights.data.normal_(0, scale if "head" in name else 0.1)
    return method


def count(weights):
    return sum(each.numel() for each in weights)


def images(*size, batch=1):
    torch.manual_seed(6)
    coarse = torch.rand(2, batch, 1, *(n // 8 for n in size))
    return [upsample(image, 8) for image in coarse]


@pytest.fixture(scope="module")
def paper():
    """The configuration of the paper's size, without memory behind it."""
    with torch.device("meta"):
        return methods.create("llm_morph", **read_config(configs_folder() / "llm_morph.toml").method_settings)


def test_paper_size_has_180_tokens_an_image_and_fields_from_a_32nd_to_a_quarter(paper):
    scans = torch.empty(2, 1, 1, 192, 160, 192, device="meta")
    deepest = paper.flow.encoder(torch.cat(list(scans)))[-1]
    assert deepest.shape == (2, 256, 6, 5, 6)
    assert paper.flow.tokens(deepest).shape == (2, 180, 4096)
    assert paper.flow.positions(360)["attention_mask"].shape == (1, 1, 360, 360)
    shapes = [field.shape[2:] for field, _ in paper.flow.fields(*scans)]
    assert shapes == [(6, 5, 6), (12, 10, 12), (24, 20, 24), (48, 40, 48)]
    assert paper(*scans).value.shape == (1, 3, 96, 80, 96)


def test_paper_size_trains_adapters_lora_and_convolutions_alone(paper):
    frozen = {name for name, weights in paper.named_parameters() if not weights.requires_grad}
    assert count(w for n, w in paper.named_parameters() if n in frozen) == 2 * LAYER
    assert all(".layers." in name and "lora" not in name for name in frozen)
    trained = {name: weights for name, weights in paper.named_parameters() if weights.requires_grad}
    assert count(weights for name, weights in trained.items() if "lora" in name) == 2 * LORA
    assert count(trained.values()) == 56_795_324
    parts = {name.split(".")[1]: 0 for name in trained}
    for name, weights in trained.items():
        parts[name.split(".")[1]] += 0 if "lora" in name else weights.numel()
    assert parts["out"] == (4096 + 1) * (128 + 64 * 8 + 32 * 8**2 + 16 * 8**3)
    entering = (256 + 1) * 256 + (256 + 1) * 4096 + 256 * 4096  # bottleneck, widening, skip
    assert parts["blocks"] == entering + (4096 + 1) * 256 + (256 + 1) * 4096


def test_small_configuration_is_one_for_a_cpu():
    config = read_config(configs_folder() / "llm_morph_small.toml")
    method = methods.create("llm_morph", **config.method_settings)
    scans = images(32, 64, 32)
    method.loss(methods.Batch(*scans, *(scans[0][0].long(),) * 2), method(*scans))["total"].backward()
    assert count(w for w in method.parameters() if w.requires_grad) == 6_461_439


@pytest.mark.parametrize("dims", [2, 3])
def test_cost_volumes_show_every_step_how_the_pair_matches(dims):
    plain, matching = (tiny("none", dims=dims, half=True, cost_volumes=volumes) for volumes in (False, True))
    fixed, moving = images(*(64, 32, 96)[:dims], batch=2)
    weights = [[step.blocks[0].convolution.weight for step in made.flow.steps] for made in (plain, matching)]
    assert [b.shape[1] - a.shape[1] for a, b in zip(*weights)] == [2 * 3**dims] * len(weights[0])
    matching.flow.steps[-1].head.weight.data.normal_()
    field = matching.flow(fixed, moving)
    for weight in weights[1]:  # without what the costs say it is another field
        weight.data[:, -2 * 3**dims :] = 0
    assert (matching.flow(fixed, moving) - field).abs().max() > 0.01


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("output", ["displacement", "velocity"])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_field_lies_on_the_promised_grid(dims, output, half):
    method = tiny("none", dims=dims, output=output, half=half)
    size = (64, 32, 96)[:dims]
    result = method(*images(*size, batch=2))
    assert result.value.shape == (2, dims, *(n // 2 for n in size))
    assert method.displacement(result).shape == (2, dims, *size)
    assert method.displacement(result).abs().max() < 0.05  # a new network is close to the identity
    assert (method.integration_steps > 0) == (output == "velocity")


@pytest.mark.parametrize("dims", [2, 3])
def test_a_token_becomes_the_cell_that_it_stands_for(dims):
    size, cell, channels = (2, 3, 1)[:dims], 2, 2
    adapter = OutOfLanguage(dims, 4, channels, cell)
    tokens = torch.randn(1, int(np.prod(size)), 4)
    made = adapter(tokens, size)[0]
    linear = (tokens[0] @ adapter.linear.weight.T + adapter.linear.bias).double().detach().numpy()
    values = (linear - linear.mean(0)) / np.sqrt(linear.var(0) + 1e-5)
    values = np.where(values > 0, values, 0.2 * values).reshape(*size, channels, *[cell] * dims)
    for channel, place, inside in product(range(channels), np.ndindex(*size), np.ndindex(*[cell] * dims)):
        at = (channel, *(cell * p + i for p, i in zip(place, inside)))
        assert float(made[at].detach()) == pytest.approx(values[(*place, channel, *inside)], abs=1e-5)


@pytest.mark.long
def test_layers_of_a_folder_give_what_the_language_model_gives(language):
    from transformers import AutoModel

    whole = AutoModel.from_pretrained(language[0], local_files_only=True, dtype=torch.float32).eval()
    flow = tiny(str(language[0]), layers=[0, 1]).eval().flow  # LoRA is 0 at the start
    tokens, seen = torch.randn(2, 10, 32), flow.positions(10)
    found = flow.blocks[1].layers[0](flow.blocks[0].layers[0](tokens, **seen), **seen)
    expected = whole(inputs_embeds=tokens, output_hidden_states=True).hidden_states[2]
    assert torch.allclose(found, expected, atol=1e-5)
    later = tiny(str(language[0]), layers=[1, 2]).flow.blocks[0].layers[0]
    assert torch.equal(later.mlp.up_proj.weight, whole.layers[1].mlp.up_proj.weight)


@pytest.mark.parametrize("causal", [True, False])
def test_a_causal_token_sees_those_before_it_and_others_see_all(causal):
    flow = stirred(tiny(causal=causal)).flow
    tokens = torch.randn(1, 6, 32, requires_grad=True)
    found = flow.blocks[0].layers[0](tokens, **flow.positions(6))
    (slope,) = torch.autograd.grad(found[0, 2].sum(), tokens)
    seen = slope[0].abs().amax(1) > 0
    assert seen.tolist() == [True] * 3 + [not causal] * 3


def test_images_are_one_sequence_moving_first():
    flow = stirred(tiny()).flow
    deepest = torch.randn(2, 8, 2, 3, requires_grad=True)  # moving, fixed
    by_image = []
    for image in range(2):
        (slope,) = torch.autograd.grad(flow.tokens(deepest)[image, -1, 0], deepest)
        by_image.append(slope.abs().amax((1, 2, 3)) > 1e-7)
    # the adapters' normalisation is over the sequence, so both depend on both
    assert torch.stack(by_image).all()
    without = tiny("none").flow
    for block in (*flow.blocks, *without.blocks):
        block.narrow.weight.data.zero_()  # nothing is left but the skip and what attention brings
    (slope,) = torch.autograd.grad(without.tokens(deepest)[1].sum(), deepest)
    assert slope[0].abs().max() == 0 and slope[1].abs().max() > 0


def test_every_trained_weight_learns_and_the_language_stays(language):
    method = tiny(str(language[0]), image="mse", smoothness=0.01)
    before = {name: weights.clone() for name, weights in method.state_dict().items()}
    fixed = images(64, 64)[0]
    batch = methods.Batch(fixed, fixed.roll(2, 3))
    optimiser = torch.optim.Adam((w for w in method.parameters() if w.requires_grad), 2e-3)
    totals = []
    for _ in range(25):
        terms = method.loss(batch, method(batch.fixed, batch.moving))
        optimiser.zero_grad()
        terms["total"].backward()
        optimiser.step()
        totals.append(float(terms["total"].detach()))
    assert totals[-1] < 0.7 * totals[0]
    for name, weights in method.named_parameters():
        moved = not torch.equal(weights, before[name])
        assert moved == weights.requires_grad, name
        assert weights.requires_grad == (".layers." not in name or "lora" in name), name


def test_coarser_fields_are_compared_while_it_learns():
    method = stirred(tiny("none", image="mse", coarse=0.5, smoothness=0.0))
    batch = methods.Batch(*images(64, 32))
    terms = method.loss(batch, method(batch.fixed, batch.moving))
    assert len(method.flow.coarser) == 3
    assert [spacing for _, spacing in method.flow.coarser] == [32, 16, 8]
    assert torch.allclose(terms["total"], terms["image"] + 0.5 * terms["coarse"])
    method.eval()
    assert "coarse" not in method.loss(batch, method(batch.fixed, batch.moving))


@pytest.mark.parametrize("output", ["displacement", "velocity"])
def test_the_half_grid_compares_the_same_pair(output):
    terms = {"image": "mse", "dice": 1.0, "coarse": 0.0, "smoothness": 1.0, "output": output}
    full, half = (tiny("none", compare=compare, **terms).eval() for compare in (1, 2))
    # a block of 16 voxels that lies 4 further: a shift is the same on both grids
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    label = ((y // 16 == 1) & (x // 16 == 2)).long()[None]
    image = upsample(label[:, None, ::8, ::8].float(), 8)
    batch = methods.Batch(image, image.roll(4, 3), label, label.roll(4, 2))
    shift = torch.zeros(1, 2, 32, 32)
    shift[:, 1] = 4
    for value, dice in ((shift, 0), (0 * shift, 0.25)):
        found = [each.loss(batch, methods.Output(output, value)) for each in (full, half)]
        assert all(float(terms["dice"]) == pytest.approx(dice, abs=1e-3) for terms in found)
        assert float(found[1]["image"]) == pytest.approx(float(found[0]["image"]), rel=0.1, abs=1e-4)
        assert torch.equal(found[0]["smoothness"], found[1]["smoothness"])


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_merged_lora_gives_what_it_gives_beside_the_weights(lora_rank):
    method = stirred(tiny(lora_rank=lora_rank)).eval()
    scans = images(64, 96)
    with torch.no_grad():
        beside, merged = method.flow(*scans), method.network()(*scans)
    assert beside.abs().max() > 2
    assert torch.allclose(merged, beside, atol=1e-5 * float(beside.abs().max()))
    assert not [name for name in method.network().state_dict() if "lora" in name or "base_layer" in name]
    assert len([name for name in method.state_dict() if "lora_B" in name]) == (4 if lora_rank else 0)
    assert method.network() is method.network()
    assert method.train().network() is method.flow


def test_a_merged_network_is_made_anew_of_other_weights():
    method, other = stirred(tiny()).eval(), stirred(tiny(), 0.2).eval()
    scans = images(32, 64)
    with torch.no_grad():
        method.network()
        method.load_state_dict(other.state_dict())
        assert torch.equal(method.network()(*scans), other.network()(*scans))


def test_whatever_the_layers_are_all_else_starts_the_same(language):
    shape = shape_of(language[0], 2)
    made = {name: tiny(name, backbone_config=shape) for name in ("none", "random", str(language[0]))}
    for method in made.values():
        for name, weights in method.named_parameters():
            if weights.requires_grad and "lora" not in name:
                assert torch.equal(weights, made["none"].get_parameter(name)), name
    drawn, read = (dict(made[name].named_parameters()) for name in ("random", str(language[0])))
    lora = [name for name in drawn if "lora_A" in name]
    assert len(lora) == 4 and all(torch.equal(drawn[name], read[name]) for name in lora)


def test_a_checkpoint_needs_no_folder(language, tmp_path):
    folder = tmp_path / "moved"
    language[0].rename(folder)
    try:
        method = stirred(tiny(str(folder), layers=[1, 2])).eval()
    finally:
        folder.rename(language[0])
    assert method.settings["backbone"] == "random"
    assert method.settings["origin"].startswith("moved, layers [1, 2], sha256 ")
    assert str(tmp_path) not in repr(method.settings)
    facts = {"step": 1, "method": "llm_morph", "settings": method.settings}
    trained = (weights for weights in method.parameters() if weights.requires_grad)
    write_checkpoint(tmp_path / "c.safetensors", method, torch.optim.Adam(trained), facts)
    again = read_checkpoint(tmp_path / "c.safetensors").method()
    scans = images(64, 32)
    with torch.no_grad():
        assert torch.equal(again(*scans).value, method(*scans).value)


def test_layers_of_an_encoder_fit_too():
    shape = {"model_type": "bert", "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    method = stirred(tiny(backbone_config=shape, causal=False)).eval()
    assert count(w for n, w in method.named_parameters() if "lora" in n) == 2 * 2 * 8 * (32 + 32)
    scans = images(64, 64)
    with torch.no_grad():
        assert torch.allclose(method.network()(*scans), method.flow(*scans), atol=1e-3)


def test_settings_that_cannot_be_used_are_refused(language, monkeypatch):
    for settings, message in (
        ({"output": "flow"}, "'flow'"),
        ({"layers": [0, 1, 2]}, r"\[0, 1, 2\]"),
        ({"decoder": (8, 8, 8)}, "4 decoder widths"),
        ({"backbone": "no/such/folder"}, "'no/such/folder'"),
        ({"backbone": str(language[0]), "layers": [2, 3]}, "0 to 2"),
        ({"backbone_config": {"hidden_size": 8}}, "model_type"),
        ({"lora_rank": -1}, "found -1"),
        ({"compare": 2, "known": 1.0}, "known=1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            tiny(**settings)
    with pytest.raises(ValueError, match="have 12 tokens; most_tokens is 8"):
        tiny(most_tokens=8)(*images(64, 96))
    # an exported network, in which nobody counts, takes no more either
    assert tiny(most_tokens=8).most_voxels == 4 * 32**2
    assert tiny("none").most_voxels is None
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match="mmreg-rt\\[llm\\]"):
        tiny()
    assert count(tiny("none").parameters()) == count(tiny(None).parameters())  # "none" of a file is None


def test_without_language_layers_nothing_of_it_is_imported():
    code = (
        "import sys, mmreg_train.methods as m\n"
        "m.create('llm_morph', dims=2, backbone='none')\n"
        "import benchmarks.accuracy.byte_language_model\n"
        "print(*{'transformers', 'peft', 'huggingface_hub'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_the_byte_language_model_learns(language):
    folder, facts = language
    assert facts["bits_per_byte"] < 0.6 * facts["bits_per_byte_of_single_bytes"]
    assert {"config.json", "model.safetensors", bytes_model.FACTS} <= {path.name for path in folder.iterdir()}


def test_texts_are_held_out_by_their_content():
    texts = [b"text number %d" % n for n in range(2000)]
    kept, held_out = bytes_model._parts(texts)
    assert sorted(kept + held_out) == sorted(texts) and not set(kept) & set(held_out)
    assert len(held_out) / 2000 == pytest.approx(12 / 256, abs=0.015)  # three sd
    assert set(bytes_model._parts(texts[500:])[1]) <= set(held_out)
    with pytest.raises(ValueError, match="shorter context"):
        bytes_model._concatenate(texts[:3], 512)
