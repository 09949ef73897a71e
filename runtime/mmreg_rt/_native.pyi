from collections.abc import Callable, Sequence
from typing import Annotated, Any, overload

import numpy
from numpy.typing import NDArray


def targets() -> list[str]:
    """Return the CPU targets that this machine can run, best first."""

def usable_processors() -> int:
    """
    Return the default number of threads: the processors of this process, limited by the quota of its control groups.
    """

def processor_quota(membership: str = '/proc/self/cgroup', root: str = '/sys/fs/cgroup') -> float:
    """Return the processors granted by control groups; 0 if unlimited."""

def why_no_device(target: str) -> str:
    """Return why a device cannot be used; empty if it can."""

def device_facts(target: str) -> dict:
    """Return name, compute capability, CUDA versions and memory of a device."""

def device_view(array: Annotated[NDArray, dict(order='C', writable=False)]) -> tuple:
    """Return address, shape, device number and type of a device array."""

class DeviceGraph:
    """Recorded work of a queue, launched as a whole."""

class DeviceQueue:
    """Memory and a stream of a device, whose work runs in order."""

    def __init__(self, target: str, stream: int | None = None, stream_owner: object | None = None) -> None:
        """
        stream: handle of the caller's stream, 0 for the default stream; None creates one. stream_owner is kept alive as long as the queue.
        """

    @property
    def stream(self) -> int: ...

    @property
    def peak_bytes(self) -> int:
        """Peak number of bytes in use."""

    def allocate(self, bytes: int) -> int:
        """Return the address of new device memory."""

    def release(self, memory: int) -> None: ...

    def upload(self, to: int, array: Annotated[NDArray, dict(order='C', device='cpu', writable=False)]) -> None: ...

    def download(self, into: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu')], memory: int) -> None:
        """Copy to the host and wait."""

    def array(self, memory: int, shape: Sequence[int], owner: object | None = None, dtype: str = 'float32') -> Any:
        """
        Return memory of this queue as an array of float32, float16 or uint8 that keeps its owner alive. Without an owner, the memory must outlive the array.
        """

    @property
    def target(self) -> str:
        """Name of the target."""

    @property
    def number(self) -> int:
        """Number of the device."""

    def copy(self, to: int, from_: int, bytes: int) -> None:
        """Copy within the device."""

    def wait_for(self, stream: int) -> None:
        """Make later work wait for the present work of a stream."""

    def __enter__(self) -> object:
        """Make the device current to the calling thread."""

    def __exit__(self, *args) -> None: ...

    def graph(self, work: Callable) -> DeviceGraph:
        """
        Record the work that work() submits to this queue's stream instead of running it. Launches use the memory that work() allocated: allocate it from a separate queue that lives as long.
        """

    def launch(self, graph: DeviceGraph) -> None: ...

    def warp(self, image: int, image_shape: Sequence[int], displacement: int, displacement_shape: Sequence[int], border: str, warped: int, workspace: int = 0) -> None:
        """
        Warp a batch linearly between addresses of float32: image (N, C, ...), displacement (N, dims, ...). In 2-D, workspace has 3 values per pixel of the displacement; 0 allocates it.
        """

    @property
    def kept_bytes(self) -> int:
        """Released bytes that are cached for later allocations."""

    def device_of(self, memory: int) -> int:
        """Return the device number of an address; -1: the host."""

    def trim(self) -> None:
        """Wait for the queue and free its cached memory."""

    def pinned(self, bytes: int) -> Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu')]:
        """Return page-locked host memory as uint8."""

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
    Return moving(p + u(p)). All arrays have a leading batch axis, or none. outside: value outside for border 'zero'.
    """

@overload
def warp(moving: Annotated[NDArray[numpy.float16], dict(order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], interpolation: str = 'linear', border: str = 'zero', valid: Annotated[NDArray[numpy.uint8], dict(order='C')] | None = None, out: Annotated[NDArray[numpy.float16], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '', outside: float = 0.0) -> NDArray[numpy.float16]:
    """Warp float16 images, computed in float32."""

def warp_grad_displacement(moving: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], upstream: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], border: str = 'zero', out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]:
    """
    Return the derivative of the sum of upstream times the linear warp with respect to the displacement.
    """

def warp_grad_image(upstream: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], shape: tuple[int, int, int], border: str = 'zero', out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]:
    """
    Return the same derivative with respect to the moving image, which has the given shape.
    """

def warp_labels(moving: Annotated[NDArray[numpy.int32], dict(order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.int32]: ...

def resample_affine(moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], index_map: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], shape: tuple[int, int, int], interpolation: str = 'linear', border: str = 'zero', valid: Annotated[NDArray[numpy.uint8], dict(order='C')] | None = None, out: Annotated[NDArray[numpy.float32], dict(order='C')] | None = None, threads: int = 0, target: str | DeviceQueue = '', outside: float = 0.0) -> NDArray[numpy.float32]: ...

def prefilter(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def align(fixed: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], fixed_affine: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], moving_affine: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], fixed_mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None, moving_mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None, kind: str = 'affine', limit_ms: float = -1.0, threads: int = 0, target: str | DeviceQueue = '') -> dict:
    """
    Return the rigid and the affine map from fixed mm to moving mm, and figures. fixed_affine and moving_affine map array indices to mm. limit_ms < 0: no limit.
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
    """Return the mean squared correlation over all windows, and its map."""

def local_ncc_value(fixed: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], radius: int, threads: int = 0, target: str | DeviceQueue = '') -> float: ...

def joint_histogram(fixed: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', writable=False)] | None, bins: tuple[int, int], fixed_range: tuple[float, float], moving_range: tuple[float, float], parzen: bool, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float64]: ...

def percentiles(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], fractions: Sequence[float], mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', writable=False)] | None, threads: int = 0, target: str | DeviceQueue = '') -> list[float]: ...

def mutual_information(histogram: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> float: ...

def normalised_mutual_information(histogram: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> float: ...

def interleave(planes: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], channels: int, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.uint16]:
    """
    Return planes (C, D, H, W) as bits of half-precision features (D, H, W, channels), padded by 0.
    """

def append_intensity_channels(features: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C')], image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], valid: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', writable=False)] | None, scale: float, offset: float, threads: int = 0, target: str | DeviceQueue = '') -> None: ...

def similarity_gradient(fixed: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C', writable=False)], moving: Annotated[NDArray[numpy.uint16], dict(shape=(None, None, None, None), order='C', writable=False)], displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], rows: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', writable=False)], gain: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', writable=False)] | None, feature_weight: float = 1.0, intensity_weight: float = 1.0, threads: int = 0, target: str | DeviceQueue = '') -> tuple: ...

def adam_step(gradient: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], mean: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C')], square: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C')], iteration: int, mean_decay: float, square_decay: float, floor: float, rate_vox: float, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

class EngineSpec:
    """A network for the pipeline: its input grid, output and function."""

    def __init__(self, *, output: str, shape: Sequence[int], affine: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], intensities: tuple[str, float, float], run: object, dims: int = 3, factor: int = 1, integration_steps: int = 0, planes: int = 0, expected_s: Sequence[float] = [0.0], on_device: bool = False) -> None:
        """
        output: displacement, velocity, descriptor or rigid. shape, affine: grid of the network's inputs. intensities: (percentile, window or minmax, low, high). factor: voxels of that grid per voxel of the field. planes: number of channels of a descriptor. expected_s: expected duration of a run, in s, one number per stage of a rigid cascade; 0 if unknown. run(fixed, moving, field), run(side, image, planes) or run(stage, fixed, moving, numbers) fills its last array; stop() -> bool is appended to its arguments if it may be stopped. on_device: arrays are (address, shape) in device memory.
        """

    @property
    def shape(self) -> list[int]: ...

    def with_run(self, run: object, on_device: bool) -> EngineSpec:
        """Return a copy of the engine that another function runs."""

class Scan:
    """An image with its affine and an optional mask."""

    def __init__(self, image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], affine: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None) -> None:
        """
        image: (D, H, W) float32. affine: (4, 4), array indices to RAS+ mm. mask: (D, H, W) uint8, 0 is excluded.
        """

class Options:
    """Options of a registration."""

    def __init__(self, *, align: str = 'affine', deform: bool = True, refine: bool = True, engine: EngineSpec | None = None, start: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)] | None = None, deadline_s: float = 0.0, now: Callable | None = None, cancelled: Callable | None = None, outside: float | None = None, threads: int = 0, target: str = '', device: DeviceQueue | None = None, keep_on_device: bool = False, inverse: bool = True, quality: str = 'full') -> None:
        """
        align: none, rigid or affine. engine: a network. refine: whether the solver refines its output. start: (4, 4), known alignment from fixed to moving mm, for align='none'; the figures before registration do not include it. deadline_s: time limit of the call, measured by now() if set; 0 for none. cancelled(stage, share) is called between steps and cancels the registration by returning True. outside: value of the warped scan outside the moving scan; None for its lowest value. device: a queue to run on, which replaces target. keep_on_device: leave results on the device, as (address, shape, owner). inverse: compute it. quality: full, fast (without MIND, evidence and inverse consistency) or none.
        """

class PoseEvidence:
    """Evidence for the linear part, from neighbouring poses."""

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
    """Residual motion found by a dense search."""

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
    """Evidence that the deformation improves on the linear part."""

    @property
    def kept(self) -> bool: ...

    @property
    def patterns(self) -> float: ...

    @property
    def information(self) -> float: ...

    @property
    def own_patterns(self) -> float: ...

    @property
    def typical_vox(self) -> float: ...

    @property
    def least_gain(self) -> float: ...

    @property
    def own_information(self) -> float: ...

class NetworkRun:
    """Outcome of a network run: none, complete, stopped or not begun."""

    @property
    def end(self) -> str: ...

    @property
    def expected_s(self) -> float: ...

    @property
    def left_s(self) -> float: ...

class CascadeRun:
    """Progress of a cascade of rigid networks and its refinement."""

    @property
    def stages_run(self) -> int: ...

    @property
    def refinement(self) -> str: ...

    @property
    def away_mm(self) -> float: ...

    @property
    def window_centre_mm(self) -> list[float]: ...

class Quality:
    """Quality figures of a registration; None if not computed in time."""

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
    """Result of the pipeline. Arrays that were not computed are None."""

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
    Register a moving scan to a fixed scan: alignment, network, deformation, inverse and quality figures.
    """

class Session:
    """A fixed scan that any number of moving scans are registered to."""

    def __init__(self, fixed: Scan, target: str = '', threads: int = 0, device: DeviceQueue | None = None) -> None: ...

    def register(self, moving: Scan, options: Options, track: bool = False) -> Result:
        """
        Register a moving scan as the function of this name does, on the queue of the session. track: start from the transform of the call before.
        """

    def keep_memory(self) -> None:
        """Keep the memory of a call for the next one."""

    def forget(self) -> None:
        """Forget the transform of the last call."""

class Plan:
    """The network path of a registration, prepared for two grids."""

    def __init__(self, network: EngineSpec, fixed_shape: tuple[int, int, int], fixed_affine: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], moving_shape: tuple[int, int, int], moving_affine: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], alignment: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], device: DeviceQueue | None = None, threads: int = 0, outside: float | None = None) -> None: ...

    def preprocess(self) -> None:
        """Compute seen_fixed and seen_moving from fixed and moving."""

    def finish(self) -> None:
        """Compute displacement_mm, warped and valid from field."""

    def facts(self) -> dict:
        """Wait, and return the extremes and the number of folded voxels."""

    def remove_folds(self) -> int:
        """Remove folds and return the number that remain. Waits for the queue."""

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
    Return the displacement (3, D, H, W), in voxels, and a dict of image statistics. `overrides` replaces selected settings, describe(side, image, planes) the features.
    """

def remove_folds(displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', device='cpu', writable=False)], floor: float, rounds: int, threads: int = 0, target: str | DeviceQueue = '') -> tuple:
    """Return a copy without folds and the number of folds that remain."""

def count_folds(displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], floor: float, threads: int = 0, target: str | DeviceQueue = '') -> int:
    """Return the number of voxels that remove_folds would smooth first."""

def fill(value: float, shape: Sequence[int], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def detail(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], background: float, low: float, high: float, threads: int = 0, target: str | DeviceQueue = '') -> dict: ...

def active_rows(fixed: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], fixed_background: float, moving: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], moving_background: float, margin: int, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.int32]: ...

def threshold(values: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', writable=False)] | None, threshold: float, threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.uint8]: ...

def axpby(a: float, x: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], b: float, y: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def multiply(field: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], weight: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def divide(field: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], weight: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def where(mask: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', writable=False)], inside: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], outside: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def texture(image: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> tuple:
    """Return noise and contrast around each voxel, (D, H, W) each."""

def add_affine(displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], linear: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], map: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...

def lengths(displacement: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', writable=False)], threads: int = 0, target: str | DeviceQueue = '') -> NDArray[numpy.float32]: ...
