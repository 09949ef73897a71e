"""Training configuration: one TOML file per method. Every value except ``method`` has a default.

====================  =================================================================================
``method``            name of the method, as on the command line
``[settings]``        settings of the method, documented in ``mmreg_train/methods/<name>.py``; ``"none"``
                      means None
``[preprocess]``      ``PreprocessSpec``: ``spacing_mm``, ``multiple``, ``intensity``, ``low``, ``high``,
                      ``orientation``; copied to the bundle unchanged
``[data]``
``size``              ``[D, H, W]`` of every sample in voxels, cropped or padded around the centre; required
                      for synthesis, and for batches of scans that differ in size
``crop``              ``"centre"`` or ``"random"``: where a scan is cropped to ``size``, drawn per sample;
                      validation uses the centre
``workers``           processes that prepare samples in advance; 0 prepares them in the training process
``[training]``
``steps``             optimiser steps
``batch``             pairs per step, over all processes
``seed``              of the weights and of every sample
``optimiser``         ``"adam"``, ``"amsgrad"`` or ``"adamw"``
``learning_rate``     highest learning rate
``weight_decay``      for ``adamw``
``schedule``          ``"constant"``, ``"cosine"`` or ``"polynomial"``, down to ``learning_rate_end``
``learning_rate_end`` lowest learning rate
``power``             for ``polynomial``
``warmup_steps``      steps of linear warm-up before the schedule
``clip_norm``         largest gradient norm; 0 disables clipping
``precision``         ``"32"``, ``"bf16-mixed"`` or ``"16-mixed"``
``compile``           run the network through ``torch.compile``: takes a minute at the start, then is up to 5
                      times as fast on a CPU; equal up to rounding, not bit for bit
``validate_every``    steps between validations; the best checkpoint is kept as ``best``
``validate_samples``  maximum number of pairs per validation
``log_every``         steps averaged for one point of the training curve
``checkpoint_every``  steps between ``last`` checkpoints
``[[phases]]``        for methods trained in phases: ``name``, and values that differ from ``[training]``;
                      without this table only the last phase is trained
``[synthesis]``       settings of the generator of synthetic pairs, ``Synthesis`` in
                      ``mmreg_train/data/synthesis.py``; for ``brain``, ``Painting`` in ``painted_brains.py``
``[rigid]``           for methods that output rigid motions: how starts are drawn, ``StartSampling`` in
                      ``mmreg_train/data/rigid/pairs.py``
``[warp]``            augmentation of pairs (``known_warps.py``). The moving scan of an aligned pair can be
                      deformed by a known warp, against which the result is scored
``largest_vox``       ``[min, max]`` of the longest displacement, drawn per sample; 0 disables deformation
``scale_vox``         distance of the random values that the warp is interpolated from
``both_vox``          ``[min, max]`` for a second warp, applied to both scans (other anatomies); training only
``flip``              mirror both scans along the last axis with probability one half; training only
``[run]``             written to ``config.toml`` of a run: ``data``, ``synth``, ``commands``; omit it
====================  =================================================================================
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from mmreg_rt.errors import InputError
from mmreg_rt.preprocess import PreprocessSpec

from .dataset import STRICT
from .toml import parse_table, read_toml

CODE = "MMREG_E_TRAINING_CONFIG"
Precision = Literal["32", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class DataSettings:
    """The table ``[data]``."""

    __pydantic_config__: ClassVar[Any] = STRICT
    size: tuple[int, int, int] | None = None
    crop: Literal["centre", "random"] = "centre"
    workers: int = 0


@dataclass(frozen=True)
class WarpSettings:
    """The table ``[warp]``."""

    __pydantic_config__: ClassVar[Any] = STRICT
    largest_vox: tuple[float, float] = (0.0, 0.0)
    scale_vox: int = 32
    both_vox: tuple[float, float] = (0.0, 0.0)
    flip: bool = False

    def __post_init__(self) -> None:
        ranges = self.largest_vox, self.both_vox
        if any(not 0 <= low <= high for low, high in ranges) or self.scale_vox < 1:
            raise ValueError("ranges are [min, max] with 0 <= min <= max, and scale_vox is at least 1")

    @property
    def deforms(self) -> bool:
        """True if moving scans are deformed by a known warp."""
        return self.largest_vox[1] > 0

    @property
    def changes(self) -> bool:
        """True if any augmentation is enabled."""
        return self.deforms or self.both_vox[1] > 0 or self.flip


@dataclass(frozen=True)
class TrainingSettings:
    """The table ``[training]``."""

    __pydantic_config__: ClassVar[Any] = STRICT
    steps: int = 150_000
    batch: int = 1
    seed: int = 0
    optimiser: Literal["adam", "amsgrad", "adamw"] = "adam"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "polynomial"] = "constant"
    learning_rate_end: float = 0.0
    power: float = 0.9
    warmup_steps: int = 0
    clip_norm: float = 0.0
    precision: Precision = "32"
    compile: bool = False
    validate_every: int = 1000
    validate_samples: int = 16
    log_every: int = 20
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        counts = ("steps", "batch", "validate_every", "validate_samples", "log_every", "checkpoint_every")
        low = [name for name in counts if getattr(self, name) < 1]
        low += [
            name for name in ("seed", "warmup_steps", "clip_norm", "weight_decay") if getattr(self, name) < 0
        ]
        if low:
            raise ValueError(f"too small: {', '.join(low)}")
        if not 0 <= self.learning_rate_end <= self.learning_rate or self.learning_rate == 0:
            raise ValueError("learning_rate must be above 0, and learning_rate_end between 0 and it")


@dataclass(frozen=True)
class Config:
    """A training configuration; the module docstring documents each value."""

    __pydantic_config__: ClassVar[Any] = STRICT
    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    preprocess: dict[str, Any] = field(default_factory=dict)
    data: DataSettings = field(default_factory=DataSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    phases: tuple[dict[str, Any], ...] = ()
    synthesis: dict[str, Any] = field(default_factory=dict)
    rigid: dict[str, Any] = field(default_factory=dict)
    warp: WarpSettings = field(default_factory=WarpSettings)
    run: dict[str, Any] = field(default_factory=dict)

    @property
    def method_settings(self) -> dict[str, Any]:
        """The table ``[settings]`` as keyword arguments; the word ``"none"`` becomes None."""
        return {name: None if value == "none" else value for name, value in self.settings.items()}

    @property
    def spec(self) -> PreprocessSpec:
        """The table ``[preprocess]``, completed with the defaults.

        Raises:
            InputError: A key is unknown or a value invalid.
        """
        return PreprocessSpec.from_dict({**PreprocessSpec().as_dict(), **self.preprocess})


def read_config(path: Path) -> Config:
    """Read a training configuration from a TOML file.

    Raises:
        InputError: The file cannot be read, or values are invalid; the message names all of them.
    """
    config = parse_table(Config, read_toml(path, CODE), path, CODE)
    _ = config.spec  # raise now rather than after the data have been read
    return config


def named_config(method: str, synth: bool) -> Path:
    """Return the path of the configuration shipped for a method.

    Args:
        method: Name of the method.
        synth: Choose ``<method>_synth.toml`` instead of ``<method>.toml``.

    Raises:
        InputError: No configuration is shipped for the method.
    """
    folder = configs_folder()
    path = folder / f"{method}_synth.toml" if synth else folder / f"{method}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.toml"))) or "none"
        raise InputError(
            CODE,
            f"No configuration is shipped for {path.stem!r}; available: {known}. Give --config FILE.",
        )
    return path


def configs_folder() -> Path:
    """Return the folder of configurations: beside the sources, or inside the installed package."""
    beside = Path(__file__).parents[2] / "configs"
    return beside if beside.is_dir() else Path(__file__).parents[1] / "configs"


def as_toml(config: Config) -> str:
    """Format the configuration as TOML, for ``config.toml`` of the run."""
    import tomli_w

    text: str = tomli_w.dumps(_without_none({**asdict(config), "preprocess": config.spec.as_dict()}))
    return text


def _without_none(value: Any) -> Any:
    """Leave out the keys whose value is None, which TOML cannot express."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, (list, tuple)) else value
