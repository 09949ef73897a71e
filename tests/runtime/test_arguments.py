"""Every public function with every argument replaced by what it is not: our own error, or the right value.

The table is the product of ``CALLS`` and ``WRONG``; ``FINE`` names the values that mean something after all.
"""

import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mmreg_rt import (
    Affine,
    Composite,
    DisplacementField,
    Grid,
    Registrar,
    Rigid,
    Volume,
    metrics,
    read_image,
    read_points,
    read_transform,
    write_image,
    write_points,
    write_transform,
)
from mmreg_rt.errors import GeometryError, InputError, MmregError

GRID = Grid((1, 8, 9), np.eye(4))
IMAGE = np.random.default_rng(0).random(GRID.shape, np.float32)
SCAN = Volume(IMAGE, GRID)
FIELD = DisplacementField(np.zeros((3, *GRID.shape), np.float32), GRID)
EYE = Rigid(np.eye(4))
POINTS = np.zeros((2, 3))
LABELS = Volume(np.ones(GRID.shape, np.uint8), GRID)


class Hostile:
    """An object none of whose answers can be trusted."""

    def __array__(self, *_, **__):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no")


WRONG = {
    "none": None,
    "true": True,
    "text": "5",
    "empty text": "",
    "nul": "a\0b",
    "bytes": b"5",
    "list": [1, 2, 3],
    "ragged": [[1, 2], [3]],
    "huge": 10**400,
    "nan": float("nan"),
    "inf": float("inf"),
    "negative": -3,
    "half": 1.5,
    "numpy float": np.float32(2.5),
    "complex": 1j,
    "decimal": Decimal(2),
    "fraction": Fraction(1, 2),
    "date": datetime.date(2026, 1, 1),
    "dict": {"a": 1},
    "set": {1},
    "function": len,
    "class": int,
    "hostile": Hostile(),
    "folder": Path("/"),
    "no such file": Path("/no/such/file.nii"),
    "zero size": np.zeros((0, 4, 4)),
    "scalar array": np.array(1.0),
    "objects": np.array([None, "a"], object),
    "words": np.array(["a", "b"]),
    "complex array": np.ones((4, 4), complex),
    "records": np.zeros(3, [("a", "f4")]),
    "dates": np.zeros((4, 4), "M8[s]"),
    "masked": np.ma.array(np.eye(4), mask=np.eye(4) > 0),
    "five axes": np.zeros((1, 2, 3, 1, 1)),
    "pair of junk": ("a", "b"),
    "grid": GRID,
    "volume": SCAN,
    "transform": EYE,
}

REGISTRAR = {"align": "none", "deform": False, "threads": 1}
# name -> (callable, good arguments); every argument in turn is replaced
CALLS = {
    "Registrar": (
        Registrar,
        {
            "model": None, "device": "cpu", "align": "none", "deform": False, "threads": 1,
            "same_space": True, "refine": None, "progress": None,
        },
    ),
    "register": (
        Registrar(**REGISTRAR).register,
        {"fixed": SCAN, "moving": SCAN, "fixed_mask": None, "moving_mask": None, "deadline_ms": 1e6},
    ),
    "register_on_device": (
        Registrar(**REGISTRAR).register_on_device,
        {"fixed": IMAGE, "fixed_affine": np.eye(4), "moving": IMAGE, "moving_affine": np.eye(4)},
    ),
    "plan": (Registrar(**REGISTRAR).plan, {"fixed": GRID, "moving": GRID, "alignment": None}),
    "Grid": (Grid, {"shape": (1, 8, 9), "affine": np.eye(4)}),
    "Volume": (Volume, {"data": IMAGE, "grid": GRID}),
    "from_array": (Volume.from_array, {"array": IMAGE, "affine": np.eye(4)}),
    "resampled": (GRID.resampled, {"spacing_mm": 2.0}),
    "same_as": (GRID.same_as, {"other": GRID}),
    "map_indices": (GRID.map_indices, {"indices": POINTS}),
    "map_points": (GRID.map_points, {"points_mm": POINTS}),
    "contains": (GRID.contains, {"points_mm": POINTS}),
    "Affine": (Affine, {"matrix": np.eye(4)}),
    "Rigid": (Rigid, {"matrix": np.eye(4)}),
    "DisplacementField": (DisplacementField, {"displacement_mm": FIELD.displacement_mm, "grid": GRID}),
    "Composite": (Composite, {"parts": (EYE,)}),
    "tre_mm": (metrics.tre_mm, {"transform": EYE, "fixed_mm": POINTS, "moving_mm": POINTS}),
    "dice": (metrics.dice, {"fixed": LABELS, "warped": LABELS}),
    "hd95_mm": (metrics.hd95_mm, {"fixed": LABELS, "warped": LABELS}),
    "read": (read_image, {"path": "/no/such/file.nii", "frame": None, "prefer": None}),
    "read_transform": (read_transform, {"path": "/no/such/file.tfm"}),
    "read_points": (read_points, {"path": "/no/such/file.csv"}),
    "write": (write_image, {"volume": SCAN, "path": "/no/such/folder/a.nii"}),
    "write_transform": (
        write_transform,
        {"transform": EYE, "path": "/no/such/folder/a.tfm", "planar": False},
    ),
    "write_points": (write_points, {"points_mm": POINTS, "path": "/no/such/folder/a.csv"}),
}  # fmt: skip
for _name, _transform in (("rigid", EYE), ("field", FIELD), ("composite", Composite((EYE, FIELD)))):
    CALLS |= {
        f"{_name}.map_points": (_transform.map_points, {"points_mm": POINTS}),
        f"{_name}.then": (_transform.then, {"following": EYE}),
        f"{_name}.after": (_transform.after, {"field": FIELD}),
        f"{_name}.to_field": (_transform.to_field, {"grid": GRID}),
        f"{_name}.warp": (_transform.warp, {"volume": SCAN, "grid": GRID, "interpolation": "linear"}),
        f"{_name}.warp_labels": (_transform.warp_labels, {"volume": LABELS, "grid": GRID}),
        f"{_name}.jacobian_determinant": (_transform.jacobian_determinant, {"grid": GRID}),
        f"{_name}.folding": (_transform.folding, {"grid": GRID}),
    }

# what means something after all: by the argument, whatever the function
FINE = {
    "model": {"none"},
    "device": set(),
    "align": set(),
    "deform": {"true"},
    "threads": {"none"},
    "same_space": {"true"},
    "refine": {"none", "true"},
    "progress": {"none", "function", "class"},
    "fixed": {"volume"},
    "moving": {"volume"},
    "fixed_mask": {"none"},
    "moving_mask": {"none"},
    "deadline_ms": {"none", "inf", "half", "numpy float", "fraction", "scalar array"},
    "shape": {"list"},
    "data": set(),
    "grid": {"none", "grid", "volume"},
    "spacing_mm": {"list", "half", "numpy float", "scalar array", "true"},
    "other": {"grid"},
    "transform": {"transform"},
    "volume": {"volume"},
    "following": {"transform"},
    "warped": {"volume"},
    "planar": {"true"},
}


def told(call, arguments):
    """The error of this package, or None; any other exception is a failure of the test."""
    try:
        call(**arguments)
    except MmregError as error:
        return error
    except OSError as error:  # what a path of the system ends in
        return error
    return None


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize(("call", "argument"), [(c, a) for c, (_, given) in CALLS.items() for a in given])
def test_a_wrong_value_is_refused_in_our_own_words_or_means_what_it_says(call, argument, kind):
    function, given = CALLS[call]
    error = told(function, {**given, argument: WRONG[kind]})
    if error is None:
        assert kind in FINE.get(argument, set()), f"{call}({argument}={kind}) was taken"
    elif isinstance(error, MmregError):
        assert error.code.startswith("MMREG_E_")
        assert len(str(error)) > 20


@pytest.mark.parametrize(
    "made",
    [
        IMAGE.astype(">f4"),
        IMAGE[:, ::-1][:, ::-1],
        np.asfortranarray(IMAGE),
        np.repeat(IMAGE, 2, 2)[..., ::2],
        IMAGE.astype(np.float64),
        IMAGE.tolist(),
        np.ma.array(IMAGE),
    ],
    ids=["big endian", "negative strides", "Fortran order", "strided", "float64", "list", "nothing masked"],
)
def test_arrays_of_any_layout_are_the_same_scan(made):
    np.testing.assert_array_equal(Volume.from_array(made, np.eye(4)).as_float32(), IMAGE)


def test_a_read_only_array_is_not_written_to():
    given = IMAGE.copy()
    given.flags.writeable = False
    Registrar(**REGISTRAR).register((given, np.eye(4)), SCAN)
    np.testing.assert_array_equal(given, IMAGE)


def test_tensors_are_taken_unless_they_need_a_gradient():
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(IMAGE.copy())
    np.testing.assert_array_equal(Volume.from_array(tensor, torch.eye(4)).data, IMAGE)
    with pytest.raises(InputError, match=r"Give tensor\.detach\(\)"):
        Volume.from_array(tensor.requires_grad_(), np.eye(4))


def test_masked_values_are_refused_with_what_to_do():
    masked = np.ma.masked_less(IMAGE, 0.5)
    with pytest.raises(InputError, match=r"filled.*fixed_mask") as caught:
        Registrar(**REGISTRAR).register((masked, np.eye(4)), SCAN)
    assert caught.value.code == "MMREG_E_MASKED_ARRAY"


def test_numpy_scalars_and_bytes_paths_are_honoured(tmp_path):
    Registrar(align="none", deform=np.bool_(False), threads=np.int64(1)).register(
        SCAN, SCAN, deadline_ms=np.float32(1e6)
    )
    write_image(SCAN, str(tmp_path / "a.nii"))
    path = bytes(tmp_path / "a.nii")
    np.testing.assert_array_equal(read_image(path).data, IMAGE)
    Registrar(**REGISTRAR).register(path, SCAN)


def test_a_wrong_affine_names_the_affine():
    with pytest.raises(GeometryError, match="affine") as caught:
        Volume.from_array(IMAGE, [["1", "0"], ["0", "1"]])
    assert caught.value.code == "MMREG_E_GRID_AFFINE"
