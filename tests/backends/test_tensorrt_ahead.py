"""The warp that TensorRT keeps in engines: its PTX, its kernels on the host, its launch, its definition."""

import ctypes
import itertools
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from reference import warp as twin

import mmreg_rt
from mmreg_rt import _native
from mmreg_rt.backends.tensorrt import aot_plugin
from mmreg_rt.errors import InputError

BORDERS = {"zeros": "zero", "border": "extend"}
SHAPES = [  # of an image, and of a displacement
    ((2, 4, 5, 6, 7), (2, 3, 4, 5, 33)),  # two blocks along the columns, and rows that fill none
    ((1, 3, 3, 9, 8), (1, 3, 3, 9, 8)),
    ((1, 1, 1, 1, 1), (1, 3, 2, 1, 3)),
    ((1, 2, 9, 8), (1, 2, 9, 8)),
    ((3, 5, 1, 7), (3, 2, 17, 1)),
]


@pytest.fixture(scope="module")
def kernels():
    path = Path(mmreg_rt.__file__).parent / "libmmreg_cuda_on_host.so"
    if not path.is_file():
        pytest.skip("the CUDA operations were not built for the host (MMREG_CUDA_ON_HOST)")
    return ctypes.CDLL(path)


@pytest.fixture
def launch(kernels):
    """What TensorRT does with the definition, one thread after another."""

    def launch(image, u, padding):
        out = np.full((*image.shape[:2], *u.shape[2:]), 7e7, np.float32)
        entry = getattr(kernels, aot_plugin.ENTRIES[image.ndim])
        given = [ctypes.c_int(one) for one in aot_plugin.scalars(image.shape, u.shape, padding)]
        places = [ctypes.c_void_p(array.ctypes.data) for array in (image, u, out)]
        grid, block = aot_plugin.blocks(u.shape), aot_plugin.BLOCK
        for z, y, x in itertools.product(*map(range, grid[::-1])):
            for row, column in itertools.product(range(block[1]), range(block[0])):
                kernels.mmreg_warp_thread(column, row, x, y, z)
                entry(*places[:2], *given, places[2])
        assert not (out == 7e7).any()  # each is written
        return out

    return launch


def batch(shapes, reach=3.0):
    rng = np.random.default_rng(3)
    return rng.normal(0, 1, shapes[0]).astype("f4"), rng.uniform(-reach, reach, shapes[1]).astype("f4")


def expected(image, u, padding):
    """In float64, from the definition."""
    out = []
    for one, field in zip(image, u):
        field = np.concatenate([np.zeros((3 - len(field), *field.shape[1:])), field])
        volume = one.reshape(len(one), *(1,) * (5 - image.ndim), *one.shape[1:])
        field = field.reshape(3, *(1,) * (5 - image.ndim), *u.shape[2:])
        out.append(twin.warp(volume, field, "linear", BORDERS[padding]))
    return np.reshape(out, (*image.shape[:2], *u.shape[2:]))


@pytest.mark.parametrize("padding", aot_plugin.PADDINGS)
@pytest.mark.parametrize("shapes", SHAPES)
def test_a_launch_agrees_with_the_twin(launch, shapes, padding):
    image, u = batch(shapes)
    # places of up to 36 voxels in float32, times differences of up to 6 between voxels
    np.testing.assert_allclose(launch(image, u, padding), expected(image, u, padding), atol=4e-5)


@pytest.mark.parametrize("padding", aot_plugin.PADDINGS)
@pytest.mark.parametrize("shapes", SHAPES)
def test_a_launch_agrees_with_our_own_warp(launch, shapes, padding):
    image, u = batch(shapes)
    u.reshape(-1)[0] = np.nan
    queue = _native.DeviceQueue("cuda_on_host")
    found = launch(image, u, padding)
    places = [queue.allocate(array.nbytes) for array in (image, u, found)]
    queue.upload(places[0], image)
    queue.upload(places[1], u)
    queue.warp(places[0], image.shape, places[1], u.shape, BORDERS[padding], places[2])
    own = np.zeros_like(found)
    queue.download(own.reshape(-1).view(np.uint8), places[2])
    np.testing.assert_array_equal(np.isnan(found), np.isnan(own))
    assert np.isnan(found).sum() == image.shape[1]
    # one arithmetic; the compiler may round a product before its sum in one of them
    np.testing.assert_allclose(found, own, atol=2e-6)


def test_no_displacement_changes_nothing(launch):
    image = batch(((1, 4, 4, 5, 6), (1, 3, 4, 5, 6)))[0]
    for padding in aot_plugin.PADDINGS:
        assert np.array_equal(launch(image, np.zeros((1, 3, 4, 5, 6), "f4"), padding), image)


@pytest.mark.parametrize(
    "u", [(1, 3, 160, 192, 224), (2, 3, 1, 1, 1), (4, 3, 7, 9, 32), (1, 2, 512, 511), (1, 2, 8, 33)]
)
def test_threads_cover_every_voxel_and_no_block_is_idle(u):
    columns, rows, _ = aot_plugin.BLOCK
    x, y, z = aot_plugin.blocks(u)
    count = int(np.prod(u[2:-1]))
    assert 0 <= x * rows - count < rows and 0 <= y * columns - u[-1] < columns and z == u[0]


def test_a_padding_that_is_none_is_an_error():
    with pytest.raises(InputError, match="zeros or border, not 'mirror'"):
        aot_plugin.scalars((1, 1, 4, 4), (1, 2, 4, 4), "mirror")


@pytest.mark.parametrize("axes", [4, 5])
def test_the_ptx_has_the_entries_with_their_arguments_in_order(axes):
    if not aot_plugin.PTX.is_file():
        pytest.skip("built without nvcc: there is no PTX")
    ptx, name = aot_plugin.PTX.read_text(), aot_plugin.ENTRIES[axes]
    found = re.search(rf"\.visible \.entry {name}\(([^)]*)\)", ptx)
    types = re.findall(rf"\.param \.([a-z]\d+)[^,\n]* {name}_param_\d+", found[1])
    count = len(aot_plugin.scalars(range(axes), range(axes), "zeros"))
    assert types == ["u64", "u64", *["u32"] * count, "u64"]  # inputs, scalars, output
    assert re.search(r"^\.target sm_75$", ptx, re.M) and aot_plugin.needed_driver(ptx) >= 11000
    assert not re.search(r"\.extern|\.local|call", ptx)  # it stands alone


def test_a_driver_must_be_as_new_as_the_toolkit():
    assert aot_plugin.needed_driver("// Cuda compilation tools, release 12.9, V12.9.41\n") == 12090


@pytest.fixture
def quick():
    """As much of ``tensorrt.plugin`` as a definition uses, with whole numbers for its expressions."""
    known = {}

    def keep(step):
        return lambda name: lambda function: known.setdefault((step, name), function)

    class Tensor(SimpleNamespace):
        pass

    return SimpleNamespace(
        known=known,
        register=keep("register"),
        autotune=keep("autotune"),
        aot_impl=keep("aot_impl"),
        TensorDesc=Tensor,
        from_shape_expr=lambda shape, dtype: Tensor(shape_expr=shape, dtype=dtype),
        AutoTuneCombination=lambda *words: words,
        SymInt32=int,
        SymIntExprs=SimpleNamespace(from_tuple=list),
        KernelLaunchParams=SimpleNamespace,
    )


def test_the_definition_says_what_is_launched(quick):
    aot_plugin.define(quick, b"the ptx")
    steps = {step: function for (step, name), function in quick.known.items() if name == "mmreg_ahead::Warp"}
    image = quick.TensorDesc(shape_expr=(2, 4, 5, 6, 7), dtype="float")
    u = quick.TensorDesc(shape_expr=(2, 3, 8, 9, 40), dtype="float")
    made = steps["register"](image, u, "zeros")
    assert (made.shape_expr, made.dtype) == ((2, 4, 8, 9, 40), "float")
    entry, ptx, launch, given = steps["aot_impl"](image, u, "border\0", (made,), 0)
    assert (entry, ptx, given) == (b"mmreg_warp_volumes", b"the ptx", [4, 5, 6, 7, 8, 9, 40, 1])
    assert vars(launch) == dict(grid_x=9, grid_y=2, grid_z=2, block_x=32, block_y=8, block_z=1)
    assert steps["autotune"](image, u, (made,)) == [("FP32, FP32, FP32", "LINEAR")]


def test_functions_have_the_annotations_that_tensorrt_reads(quick):
    aot_plugin.define(quick, b"")
    notes = {step: function.__annotations__ for (step, _), function in quick.known.items()}
    tensor = quick.TensorDesc
    assert notes["register"] == {"image": tensor, "displacement": tensor, "padding": str, "return": tensor}
    assert notes["aot_impl"]["return"].__args__[:2] == (bytes, bytes)
