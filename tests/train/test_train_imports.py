"""Who may import whom within training; needs no PyTorch, as nothing is imported here."""

import ast
import sys
from pathlib import Path

import pytest

TRAIN = Path(__file__).parents[2] / "train" / "mmreg_train"
TORCH_ONLY = ("methods", "layers", "losses", "data/synthesis.py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(path.parent.relative_to(TRAIN.parent).parts[: -node.level + 1 or None])
            yield f"{package}.{node.module or ''}" if node.level else node.module


def files(*parts):
    return sorted(
        path for part in parts for path in (TRAIN / part, *(TRAIN / part).rglob("*.py")) if path.is_file()
    )


@pytest.mark.parametrize("path", files(*TORCH_ONLY), ids=lambda path: str(path.relative_to(TRAIN)))
def test_methods_and_what_they_are_made_of_need_torch_alone(path):
    for name in imported(path):
        top = name.partition(".")[0]
        if path.name == "native.py" and name == "mmreg_rt":
            continue  # the warp that training and serving share
        if path.name == "backbone.py" and name in ("transformers", "peft"):
            continue  # an extra, imported when layers of a language model are asked for
        assert top in sys.stdlib_module_names or top in ("torch", "mmreg_train"), (
            f"{path.name} imports {name}"
        )


@pytest.mark.parametrize("path", files("methods"), ids=lambda path: path.name)
def test_a_method_imports_no_other_method_and_no_data_or_loop(path):
    allowed = ("mmreg_train.methods.base", "mmreg_train.methods.field")
    shared = ("mmreg_train.layers", "mmreg_train.losses")
    own = f"mmreg_train.methods.{path.relative_to(TRAIN / 'methods').parts[0]}."  # a method may be a folder
    for name in imported(path):
        if name.startswith("mmreg_train") and not name.startswith(own):
            assert name in allowed or name.startswith(shared), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", files("."), ids=lambda path: str(path.relative_to(TRAIN)))
def test_training_never_imports_export(path):
    assert not [name for name in imported(path) if name.startswith("mmreg_export")]
