"""What reaches the shell is in its words: no argument, call or class that only Python has."""

import ast
import re
from pathlib import Path

import click
import pytest

import mmreg_rt
from mmreg_rt.cli import main, words
from mmreg_rt.cli.words import for_shell
from mmreg_rt.errors import WHAT_TO_DO

SOURCES = Path(mmreg_rt.__file__).parent
# Calls that no command makes: arrays of a device, plans, and objects that Python alone can give.
PYTHON_ONLY = {
    "MMREG_E_DEVICE_ARRAY", "MMREG_E_DEVICE_STREAM", "MMREG_E_FIELD_NOT_PLANAR", "MMREG_E_IMAGE_KIND",
    "MMREG_E_MEMORY_LIMIT", "MMREG_E_NIBABEL_IMAGE", "MMREG_E_PLAN_MODEL", "MMREG_E_PLAN_SCAN",
    "MMREG_E_POINTS_SHAPE", "MMREG_E_SESSION_INPUT", "MMREG_E_STREAM", "MMREG_E_TRANSFORM_EMPTY",
    "MMREG_E_TRANSFORM_KIND", "MMREG_E_TRANSFORM_NOT_RIGID", "MMREG_E_VOLUME_SHAPE",
    "MMREG_E_ALIGN", "MMREG_E_DEADLINE", "MMREG_E_THREADS",  # what click checks first
    "MMREG_E_PICKLE", "MMREG_E_ARGUMENT", "MMREG_E_MASKED_ARRAY",
}  # fmt: skip
OF_PYTHON = re.compile(
    r"\b(?:numpy|with nibabel|nibabel['.]|torch|cupy|slicer"
    r"|Volume|Registrar|Grid|Rigid|Affine|DisplacementField|Composite|Network"
    r"|None|True|False|(?:read|write|warp|to|from)_[a-z]+|same_space|deadline_ms)\b"
    r"|\b[a-z_]+=|\w\(\)|\.py\b"
)


def text_of(node):
    """A message as far as it stands in the source; what is put into it is 7."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else "7" for v in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left) + text_of(node.right)
    if isinstance(node, ast.IfExp):
        return text_of(node.body) + text_of(node.orelse)
    return "7"


def messages():
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and len(node.args) >= 2):
                continue
            code = text_of(node.args[0])
            if code.startswith("MMREG_E_") and code not in PYTHON_ONLY:
                yield code, f"{path.relative_to(SOURCES)}:{node.lineno}", text_of(node.args[1])
    for code, advice in WHAT_TO_DO.items():
        if code not in PYTHON_ONLY:
            yield code, "errors.py", advice


def test_no_message_advises_what_only_python_has():
    found = [*messages()]
    assert len(found) > 150  # it does look
    left = {
        place: (code, for_shell(text)) for code, place, text in found if OF_PYTHON.search(for_shell(text))
    }
    assert not left


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("Choose with frame=0 to frame=2.", "Choose with --frame 0 to --frame 2."),
        (
            "Choose with prefer='sform' or prefer='qform', or",
            "Choose with --prefer sform or --prefer qform, or",
        ),
        ("say same_space=False.", "say --no-same-space."),
        ("Take device='cpu', or see", "Take --device cpu, or see"),
        ("Take device='cuda:1'.", "Take --device cuda:1."),
        ("threads must be 1 or more", "--threads must be 1 or more"),
        ("Replace them (numpy.nan_to_num, torch.nan_to_num), or give", "Replace them, or give"),
        ("Cut it (labels == 2, probability > 0.5) first.", "Cut it (labels == 2, probability > 0.5) first."),
        ("give it (Rigid(numpy.eye(4)).inverse()).", "give it."),
        ("Look at folding(), and", "Look at `mmreg evaluate --transform FILE`, and"),
        ("found scl_slope = 3, scl_inter = 2", "found scl_slope = 3, scl_inter = 2"),
        ("(datatype 128) of (limit 0.5)", "(datatype 128) of (limit 0.5)"),
        ("There is no file my_frame=0/device.nii", "There is no file my_frame=0/device.nii"),
        ("There is no file image(1).nii.gz here", "There is no file image(1).nii.gz here"),
    ],
)
def test_arguments_become_options(python, shell):
    assert for_shell(python) == shell


def test_every_option_of_the_table_is_one_of_a_command():
    there = set()
    for name in ("register", "warp", "evaluate", "inspect", "benchmark"):
        command = main.get_command(click.Context(main), name)
        there |= {one for p in command.params for one in (*p.opts, *p.secondary_opts)}
    not_yet = {"--outside"}  # comes with the option itself
    assert {*words.OPTIONS.values(), *words.FLAGS.values()} - there <= not_yet
