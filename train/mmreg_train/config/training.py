"""What a configuration says: one TOML file per method. Every value but ``method`` may be left out.

====================  =================================================================================
``method``            name of the method, as on the command line
``[settings]``        its own settings, named and explained in ``mmreg_train/methods/<name>.py``; ``"none"``
                      stands for None
``[preprocess]``      ``PreprocessSpec``: ``spacing_mm``, ``multiple``, ``intensity``, ``low``, ``high``,
                      ``orientation``; it goes into the bundle unchanged
``[data]``
``size``              ``[D, H, W]`` of every sample in voxels, cut or padded around the centre; needed where
                      scans differ in size and a batch has several, and for synthesis
``crop``              ``"centre"``, or ``"random"``: where a scan is cut to ``size``, drawn for each sample;
                      validation looks at the centre
``workers``           processes that prepare samples ahead; 0 prepares in between
``[training]``
``steps``             optimiser steps
``batch``             pairs per step, over all processes
``seed``              of the weights and of every sample
``optimiser``         ``"adam"``, ``"amsgrad"`` or ``"adamw"``
``learning_rate``     at its highest
``weight_decay``      of ``adamw``
``schedule``          ``"constant"``, ``"cosine"`` or ``"polynomial"``, down to ``learning_rate_end``
``learning_rate_end``
``power``             of ``polynomial``
``warmup_steps``      steps of linear rise before the schedule
``clip_norm``         longest gradient; 0 does not clip
``precision``         ``"32"``, ``"bf16-mixed"`` or ``"16-mixed"``
``compile``           the network through ``torch.compile``: a minute at the start, then up to 5 times as fast
                      on a CPU; the same to rounding, not to the bit
``validate_every``    steps between validations; the best is kept as ``best``
``validate_samples``  pairs in a validation, at most
``log_every``         steps that a point of the training curve is the mean of
``checkpoint_every``  steps between checkpoints ``last``
``[[phases]]``        for methods that are trained in phases: ``name``, and what differs from
                      ``[training]``; without them the last phase alone is trained
``[synthesis]``       settings of the generator of synthetic pairs, ``Synthesis`` in
                      ``mmreg_train/data/synthesis.py``; of ``brain``, ``Painting`` in ``painted_brains.py``
``[rigid]``           of methods that give rigid motions: how starts are drawn, ``Starts`` in
                      ``mmreg_train/data/rigid/pairs.py``
``[warp]``            how pairs are varied (``known_warps.py``). Of aligned pairs each moving scan can be
                      deformed by a known warp, which scores what is found
``largest_vox``       ``[least, most]``: its longest displacement, drawn for each sample; 0 leaves scans alone
``scale_vox``         distance of the random values that it is interpolated from
``both_vox``          the same of another warp, of both scans together: other anatomies; in training alone
``flip``              mirror both scans together along the last axis, half of the time; in training alone
``[run]``             written into ``config.toml`` of a run: ``data``, ``synth``, ``commands``; leave it out
====================  =================================================================================
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from mmreg_rt.errors import InputError
from mmreg_rt.preprocess import PreprocessSpec

from .dataset import STRICT
from .toml import read_toml, validated

CODE = "MMREG_E_TRAINING_CONFIG"
Precision = Literal["32", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class DataSettings:
    """``[data]``"""

    __pydantic_config__: ClassVar[Any] = STRICT
    size: tuple[int, int, int] | None = None
    crop: Literal["centre", "random"] = "centre"
    workers: int = 0


@dataclass(frozen=True)
class WarpSettings:
    """``[warp]``"""

    __pydantic_config__: ClassVar[Any] = STRICT
    largest_vox: tuple[float, float] = (0.0, 0.0)
    scale_vox: int = 32
    both_vox: tuple[float, float] = (0.0, 0.0)
    flip: bool = False

    def __post_init__(self) -> None:
        ranges = self.largest_vox, self.both_vox
        if any(not 0 <= low <= high for low, high in ranges) or self.scale_vox < 1:
            raise ValueError("ranges are [least, most] from 0 up, and scale_vox is at least 1")

    @property
    def deforms(self) -> bool:
        """Moving scans are deformed, and the truth is known."""
        return self.largest_vox[1] > 0

    @property
    def changes(self) -> bool:
        """Anything is asked for."""
        return self.deforms or self.both_vox[1] > 0 or self.flip


@dataclass(frozen=True)
class TrainingSettings:
    """``[training]``"""

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
            raise ValueError(f"{', '.join(low)} too small")
        if not 0 <= self.learning_rate_end <= self.learning_rate or self.learning_rate == 0:
            raise ValueError("learning_rate is above 0, and learning_rate_end between 0 and it")


@dataclass(frozen=True)
class Config:
    """See the docstring of this file."""

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
        """``[settings]`` as arguments: the word ``"none"`` stands for None, which TOML cannot say."""
        return {name: None if value == "none" else value for name, value in self.settings.items()}

    @property
    def spec(self) -> PreprocessSpec:
        """``[preprocess]``, completed with its defaults.

        Raises:
            InputError: A key or value is none of ``PreprocessSpec``.
        """
        return PreprocessSpec.from_dict({**PreprocessSpec().as_dict(), **self.preprocess})


def read_config(path: Path) -> Config:
    """The configuration in a TOML file.

    Raises:
        InputError: The file cannot be read or a value cannot be used; all such values are named.
    """
    config = validated(Config, read_toml(path, CODE), path, CODE)
    _ = config.spec  # refused here, and not after the data have been read
    return config


def named_config(method: str, synth: bool) -> Path:
    """The configuration that comes with a method, ``train/configs/<method>.toml`` or ``<method>_synth.toml``.

    Raises:
        InputError: There is none.
    """
    folder = configs_folder()
    path = folder / f"{method}_synth.toml" if synth else folder / f"{method}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.toml"))) or "none"
        raise InputError(
            CODE,
            f"No configuration comes with {path.stem!r}; those that do: {known}. Give --config FILE.",
        )
    return path


def configs_folder() -> Path:
    """Where the configurations are: beside the sources, or inside the installed package."""
    beside = Path(__file__).parents[2] / "configs"
    return beside if beside.is_dir() else Path(__file__).parents[1] / "configs"


def as_toml(config: Config) -> str:
    """Return the configuration as it was used, for ``config.toml`` of the run."""
    import tomli_w

    text: str = tomli_w.dumps(_without_none({**asdict(config), "preprocess": config.spec.as_dict()}))
    return text


def _without_none(value: Any) -> Any:
    """Leave out the keys whose value is None, which TOML cannot express."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, (list, tuple)) else value
