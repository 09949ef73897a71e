from collections.abc import Callable, Sequence
from typing import Annotated, Any, overload

import numpy
from numpy.typing import NDArray


def targets() -> list[str]:
    """CPU targets that this machine runs, best first."""

def usable_processors() -> int:
    """
    Threads that are used by default: the processors of this process, and no more than its control groups grant.
    """

def processor_quota(membership: str = '/proc/self/cgroup', root: str = '/sys/fs/cgroup') -> float:
    """Processors' worth of time that control groups grant; 0: no limit."""

def why_no_device(target: str) -> str:
    """Why operations on a device cannot run here; empty if they can."""

def device_facts(target: str) -> dict:
    """Name, compute capability, CUDA versions and memory of a device."""

def device_view(array: Annotated[NDArray, dict(order='C', writable=False)]) -> tuple:
    """
    Address, shape, number of the device, and type of an array of a device.
    """

class DeviceGraph:
    """Work of a queue that is launched as one."""

class DeviceQueue:
    """Memory and a stream of a device; work on it is done in order."""

    def __init__(self, target: str, stream: int | None = None, stream_owner: object | None = None) -> None:
        """
        stream: the caller's own, as a number, 0 the default one; None makes one. stream_owner is kept as long.
        """

    @property
    def stream(self) -> int: ...

    @property
    def peak_bytes(self) -> int:
        """The most memory that was in use at once."""

    def allocate(self, bytes: int) -> int:
        """Address of device memory."""

    def release(self, memory: int) -> None: ...

    def upload(self, to: int, array: Annotated[NDArray, dict(order='C', device='cpu', writable=False)]) -> None: ...

    def download(self, into: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu')], memory: int) -> None:
        """Waits for the queue."""

    def array(self, memory: int, shape: Sequence[int], owner: object | None = None, dtype: str = 'float32') -> Any:
        """
        Memory of this queue as float32, float16 or uint8 of a shape, which lives as long as its owner; without one it must outlive the array.
        """

    @property
    def target(self) -> str:
        """As it was made with."""

    @property
    def number(self) -> int:
        """Of its device."""

    def copy(self, to: int, from_: int, bytes: int) -> None:
        """Within the device."""

    def wait_for(self, stream: int) -> None:
        """What follows waits for what is on that stream now."""

    def __enter__(self) -> object:
        """Its device is that of the calling thread meanwhile."""

    def __exit__(self, *args) -> None: ...

    def graph(self, work: Callable) -> DeviceGraph:
        """
        What work() puts on this queue's stream, kept in place of done. It goes on using what memory work() took: from a queue of its own, which lives as long.
        """

    def launch(self, graph: DeviceGraph) -> None: ...

    def warp(self, image: int, image_shape: Sequence[int], displacement: int, displacement_shape: Sequence[int], border: str, warped: int, workspace: int = 0) -> None:
        """
        A batch of linear warps between addresses of float32: image (N, C, ...), displacement (N, dims, ...). In the plane the workspace, if one is given, has 3 values a pixel of the displacement; else memory is taken.
        """

    @property
    def kept_bytes(self) -> int:
        """For the next to allocate."""

    def device_of(self, memory: int) -> int:
        """The number of the device of an address; -1: the host's."""

    def trim(self) -> None:
        """Waits, and frees memory that is kept."""

    def pinned(self, bytes: int) -> Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu')]:
        """Host memory that is copied fast, as uint8."""

def compose(first: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], second: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def integrate(velocity: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], steps: int = 7, out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def invert(displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], iterations: int = 30, tolerance: float = 0.0010000000474974513, threads: int = 0, target: str | DeviceQueue = '') -> tuple[NDArray[numpy.float32], dict]: ...

def jacobian(displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def folding(displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> dict: ...

def max_displacement(displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> dict: ...

def summary(values: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> dict: ...

@overload
def warp(moving: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], interpolation: str = 'linear', border: str = 'zero', valid: Annotated[NDArray[numpy.uint8], dict(order='C')] | None = None, out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '', outside: float = 0.0) -> NDArray[numpy.float32]:
    """
    moving(p + u(p)); all arrays with or without a leading batch axis. outside: what border zero fades into.
    """

@overload
def warp(moving: Annotated[NDArray[numpy.float16], dict(order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], interpolation: str = 'linear', border: str = 'zero', valid: Annotated[NDArray[numpy.uint8], dict(order='C')] | None = None, out: Annotated[NDArray[numpy.float16], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '', outside: float = 0.0) -> NDArray[numpy.float16]:
    """The same of float16, computed in float32."""

def warp_grad_displacement(moving: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], upstream: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], border: str = 'zero', out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]:
    """
    Derivative of the sum of upstream times the linear warp by the displacement.
    """

def warp_grad_image(upstream: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], shape: tuple[int, int, int], border: str = 'zero', out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]:
    """The same derivative by the moving image, whose shape is given."""

def warp_labels(moving: Annotated[NDArray[numpy.int32], dict(order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.int32]: ...

def resample_affine(moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], index_map: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], shape: tuple[int, int, int], interpolation: str = 'linear', border: str = 'zero', valid: Annotated[NDArray[numpy.uint8], dict(order='C')] | None = None, out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '', outside: float = 0.0) -> NDArray[numpy.float32]: ...

def prefilter(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def align(fixed: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], fixed_affine: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], moving_affine: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], fixed_mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None, moving_mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None, kind: str = 'affine', limit_ms: float = -1.0, threads: int = 0, target: str | DeviceQueue = '') -> dict:
    """
    Rigid and affine map from fixed mm to moving mm. Affines take array indices to mm; limit_ms < 0: no limit.
    """

def gaussian(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], sigma_vox: Sequence[float], out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def box(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], radius: Sequence[int], out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def pool(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], factor: Sequence[int], out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def pool_features(features: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C', writable=False)], factor: Sequence[int], out: Annotated[NDArray[numpy.uint16], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.uint16]: ...

def normalise(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], kind: str, low: float, high: float, out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> tuple: ...

def mind(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], radius: int, dilation: int, out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def mind_half(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], radius: int, dilation: int, out: Annotated[NDArray[numpy.uint16], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.uint16]: ...

def pool_mapped(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], factor: Sequence[int], low: float, high: float, knots: Sequence[float], mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', writable=False)] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def sample_points(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], points: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', writable=False)], mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', writable=False)] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def sample_histogram(points: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', writable=False)], values: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', writable=False)], moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], maps: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], bins: int, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def sample_gradient(points: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', writable=False)], values: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', writable=False)], moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], map: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], gain: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float64]: ...

def cost_volume(fixed: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C', writable=False)], moving: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C', writable=False)], used: int, radius: Sequence[int], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def cost_volume_half(fixed: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C', writable=False)], moving: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C', writable=False)], used: int, radius: Sequence[int], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.uint16]: ...

def smooth_cost(cost: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], radius: int, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def smooth_cost_half(cost: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C', writable=False)], radius: int, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.uint16]: ...

def coupled_convex(cost: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], radius: Sequence[int], weight: float, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def coupled_convex_half(cost: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], radius: Sequence[int], weight: float, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def local_ncc(fixed: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], radius: int, threads: int = 0, target: str | DeviceQueue = '') -> tuple[float, NDArray[numpy.float32]]:
    """Mean of the squared correlation over all windows, and its map."""

def local_ncc_value(fixed: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], radius: int, threads: int = 0, target: str | DeviceQueue = '') -> float: ...

def joint_histogram(fixed: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', writable=False)] | None, bins: tuple[int, int], fixed_range: tuple[float, float], moving_range: tuple[float, float], parzen: bool, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float64]: ...

def percentiles(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], fractions: Sequence[float], mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', writable=False)] | None, threads: int = 0, target: str | DeviceQueue = '') -> list[float]: ...

def mutual_information(histogram: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> float: ...

def normalised_mutual_information(histogram: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> float: ...

def interleave(planes: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], channels: int, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.uint16]:
    """
    Planes (C, D, H, W) as bits of half-precision features (D, H, W, channels), the rest 0.
    """

def append_intensity_channels(features: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C')], image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], valid: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', writable=False)] | None, scale: float, offset: float, threads: int = 0, target: str | DeviceQueue = '') -> None: ...

def similarity_gradient(fixed: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C', writable=False)], moving: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], rows: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', writable=False)], gain: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', writable=False)] | None, feature_weight: float = 1.0, intensity_weight: float = 1.0, threads: int = 0, target: str | DeviceQueue = '') -> tuple: ...

def adam_step(gradient: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], mean: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C')], square: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C')], iteration: int, mean_decay: float, square_decay: float, floor: float, rate_vox: float, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

class EngineSpec:
    """
    A network as the pipeline needs it: what it sees, what it gives, how to run it.
    """

    def __init__(self, *, output: str, shape: Sequence[int], affine: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], intensities: tuple[str, float, float], run: object, dims: int = 3, factor: int = 1, integration_steps: int = 0, planes: int = 0, expected_s: Sequence[float] = [0.0], on_device: bool = False) -> None:
        """
        output: displacement, velocity, descriptor or rigid. shape, affine: the grid that it sees both scans on. intensities: (percentile, window or minmax, low, high). factor: voxels of that grid in one of the field. planes: of a descriptor. expected_s: how long its runs take, one number for each stage of a rigid cascade; 0 is not known. run(fixed, moving, field), run(side, image, planes) or run(stage, fixed, moving, numbers) fills its last array, and gets stop() -> bool after it where it may be stopped. on_device: arrays are (address, shape) of device memory.
        """

    @property
    def shape(self) -> list[int]: ...

    def with_run(self, run: object, on_device: bool) -> EngineSpec:
        """Return the same engine, run by another function."""

class Scan:
    """An image, where it lies, and which of its voxels count."""

    def __init__(self, image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], affine: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None) -> None:
        """
        image: (D, H, W) float32. affine: (4, 4), array indices to RAS+ mm. mask: (D, H, W) uint8, 0 is left out.
        """

class Options:
    """How two scans are registered."""

    def __init__(self, *, align: str = 'affine', deform: bool = True, refine: bool = True, engine: EngineSpec | None = None, start: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)] | None = None, deadline_s: float = 0.0, now: Callable | None = None, cancelled: Callable | None = None, outside: float | None = None, threads: int = 0, target: str = '', device: DeviceQueue | None = None, keep_on_device: bool = False, inverse: bool = True, quality: str = 'full') -> None:
        """
        align: none, rigid or affine. engine: a network, and refine whether the solver goes on from what it finds. start: (4, 4), fixed to moving mm, that stands already, where nothing is aligned; the figures before are without it. deadline_s: until the call returns, by now() if it is given; 0 is none. cancelled(stage, share) is called between steps and stops the registration by True. outside: the value of the warped scan outside of the moving scan; None is its lowest value. device: a queue to run on in place of target. keep_on_device: results stay there, as (address, shape, owner). inverse: compute it. quality: full, fast (without patterns, evidence and the consistency of the inverse) or none.
        """

class PoseEvidence:
    """Evidence on the linear part, from poses around it."""

    @property
    def known(self) -> bool: ...

    @property
    def information(self) -> float: ...

    @property
    def drift_mm(self) -> float: ...

    @property
    def body_mm(self) -> float: ...

    @property
    def turned(self) -> float: ...

    @property
    def turned_information(self) -> float: ...

    @property
    def mirrored(self) -> float: ...

    @property
    def mirrored_information(self) -> float: ...

    @property
    def agreement(self) -> float: ...

    @property
    def agreement_elsewhere(self) -> float: ...

    @property
    def agreement_moved(self) -> float: ...

    @property
    def agreement_moved_most(self) -> float: ...

class ResidualEvidence:
    """Motion that a dense search still finds."""

    @property
    def known(self) -> bool: ...

    @property
    def affine_mm(self) -> float: ...

    @property
    def median_mm(self) -> float: ...

    @property
    def spread_mm(self) -> float: ...

    @property
    def far(self) -> float: ...

class DeformationEvidence:
    """Whether the deformation beats the linear part."""

    @property
    def kept(self) -> bool: ...

    @property
    def patterns(self) -> float: ...

    @property
    def information(self) -> float: ...

    @property
    def own_patterns(self) -> float: ...

    @property
    def own_information(self) -> float: ...

class NetworkRun:
    """What became of a network: none, complete, stopped or not begun."""

    @property
    def end(self) -> str: ...

    @property
    def expected_s(self) -> float: ...

    @property
    def left_s(self) -> float: ...

class CascadeRun:
    """
    How far networks that give rigid motions came, and the solver after them.
    """

    @property
    def stages_run(self) -> int: ...

    @property
    def refinement(self) -> str: ...

    @property
    def away_mm(self) -> float: ...

    @property
    def window_centre_mm(self) -> list[float]: ...

class Quality:
    """
    Figures of a finished registration; None where there was no time for one.
    """

    @property
    def nmi_before(self) -> float | None: ...

    @property
    def nmi_after(self) -> float | None: ...

    @property
    def mind_before(self) -> float | None: ...

    @property
    def mind_after(self) -> float | None: ...

    @property
    def folded_voxels(self) -> int | None: ...

    @property
    def min_jacobian(self) -> float | None: ...

    @property
    def inverse_folded_voxels(self) -> int | None: ...

    @property
    def inverse_consistency_mean_mm(self) -> float | None: ...

    @property
    def inverse_consistency_p95_mm(self) -> float | None: ...

    @property
    def inverse_consistency_max_mm(self) -> float | None: ...

    @property
    def displacement_p50_mm(self) -> float | None: ...

    @property
    def displacement_p95_mm(self) -> float | None: ...

    @property
    def displacement_max_mm(self) -> float | None: ...

    @property
    def overlap_fraction(self) -> float | None: ...

    @property
    def pose(self) -> PoseEvidence: ...

    @property
    def residual(self) -> ResidualEvidence: ...

class Result:
    """What the pipeline gives; an array that it did not make is None."""

    @property
    def cancelled(self) -> bool: ...

    @property
    def degraded(self) -> bool: ...

    @property
    def finished(self) -> str: ...

    @property
    def tracked(self) -> bool: ...

    @property
    def start_kept(self) -> bool: ...

    @property
    def rigid(self) -> NDArray[numpy.float64]: ...

    @property
    def affine(self) -> NDArray[numpy.float64]: ...

    @property
    def displacement_mm(self, /) -> Any: ...

    @property
    def deformation_mm(self, /) -> Any: ...

    @property
    def inverse_mm(self, /) -> Any: ...

    @property
    def warped(self, /) -> Any: ...

    @property
    def valid(self, /) -> Any: ...

    @property
    def seconds(self, /) -> dict[str, float]: ...

    @property
    def settings(self, /) -> dict[str, Any]: ...

    @property
    def threads(self) -> int | None: ...

    @property
    def quality(self) -> Quality: ...

    @property
    def deformation(self) -> DeformationEvidence: ...

    @property
    def network(self) -> NetworkRun: ...

    @property
    def cascade(self) -> CascadeRun: ...

def register(fixed: Scan, moving: Scan, options: Options) -> Result:
    """
    Register a moving scan to a fixed one: alignment, network, deformation, inverse and figures.
    """

class Session:
    """A fixed scan that any number of moving scans are registered to."""

    def __init__(self, fixed: Scan, target: str = '', threads: int = 0, device: DeviceQueue | None = None) -> None: ...

    def register(self, moving: Scan, options: Options, track: bool = False) -> Result:
        """
        Register a moving scan as the function of this name does. The target, threads and device are those of the session. track: start from the transform of the call before.
        """

class Plan:
    """
    The way of a pair of scans through a network, prepared for their grids.
    """

    def __init__(self, network: EngineSpec, fixed_shape: tuple[int, int, int], fixed_affine: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], moving_shape: tuple[int, int, int], moving_affine: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], alignment: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], device: DeviceQueue | None = None, threads: int = 0, outside: float | None = None) -> None: ...

    def preprocess(self) -> None:
        """From fixed and moving to seen_fixed and seen_moving."""

    def finish(self) -> None:
        """From field to displacement_mm, warped and valid."""

    def facts(self) -> dict:
        """Extremes of both scans and how many voxels fold. Waits."""

    def remove_folds(self) -> int:
        """Remove folds, wait, and return how many are left."""

    @property
    def fixed(self, /) -> Any: ...

    @property
    def moving(self, /) -> Any: ...

    @property
    def seen_fixed(self, /) -> Any: ...

    @property
    def seen_moving(self, /) -> Any: ...

    @property
    def field(self, /) -> Any: ...

    @property
    def displacement_mm(self, /) -> Any: ...

    @property
    def warped(self, /) -> Any: ...

    @property
    def valid(self, /) -> Any: ...

def deform(fixed: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], spacing_mm: tuple[float, float, float], fixed_valid: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None, moving_valid: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None, overrides: dict = {}, describe: object | None = None, planes: int = 0, threads: int = 0, target: str = '') -> tuple:
    """
    Displacement (3, D, H, W) in voxels and what the solver saw; `overrides` replaces chosen settings, describe(side, image, planes) the features.
    """

def remove_folds(displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', device='cpu', writable=False)], floor: float, rounds: int, threads: int = 0, target: str | DeviceQueue = '') -> tuple:
    """A copy without folds, and how many voxels are still below the floor."""

def count_folds(displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], floor: float, threads: int = 0, target: str | DeviceQueue = '') -> int:
    """How many voxels remove_folds would find at first."""

def fill(value: float, shape: Sequence[int], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def detail(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], background: float, low: float, high: float, threads: int = 0, target: str | DeviceQueue = '') -> dict: ...

def active_rows(fixed: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], fixed_background: float, moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], moving_background: float, margin: int, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.int32]: ...

def threshold(values: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', writable=False)] | None, threshold: float, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.uint8]: ...

def axpby(a: float, x: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], b: float, y: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def multiply(field: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], weight: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def divide(field: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], weight: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def where(mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', writable=False)], inside: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], outside: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def texture(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> tuple:
    """Noise and contrast of the neighbourhood of each voxel, (D, H, W) each."""

def add_affine(displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], linear: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], map: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def lengths(displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...
