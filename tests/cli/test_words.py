"""What reaches the shell is in its words: no argument, call or class that only Python has."""

import re
from pathlib import Path

import click
import pytest
from fixtures.raised import HOLE, raised

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


def messages():
    """Yield code, place and text of what the shell may print, with 7 for values."""
    for error in raised(SOURCES):
        if error.code not in PYTHON_ONLY and "found a tensor" not in error.message:
            yield error.code, error.place, error.message.replace(HOLE, "7")
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
    for name in ("register", "warp", "evaluate", "inspect", "benchmark", "deploy"):
        command = main.get_command(click.Context(main), name)
        there |= {one for p in command.params for one in (*p.opts, *p.secondary_opts)}
    not_yet = {"--outside"}  # comes with the option itself
    assert {*words.OPTIONS.values(), *words.FLAGS.values()} - there <= not_yet
