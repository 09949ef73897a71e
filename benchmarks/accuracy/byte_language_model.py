"""Train a small causal language model of bytes on the documentation installed on this machine.

    python -m benchmarks.accuracy.byte_language_model FOLDER [--steps 400] [--seed 0]
        [--width 256] [--layers 4]

A Llama of the library transformers (rotary positions, RMSNorm, gated perceptrons) over the 256 bytes, saved
as a folder that ``transformers`` can load: a pre-trained backbone for LLM-Morph where no other is available.
The text is the docstrings and the language reference of this Python, and README files below /usr/share/doc.
Every twentieth text, selected by its checksum, is held out. ``training.json`` beside the weights records the
text, the training time, and the bits per byte on held-out texts, beside those of a single-byte code.

The same text, seed, versions and threads give the same weights.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import math
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

DOCUMENTS = Path("/usr/share/doc")
FACTS = "training.json"
SHORTEST = 40  # bytes; shorter texts are skipped
SEPARATOR = b"\0"


@dataclass(frozen=True)
class Settings:
    """Shape and training of the model.

    Attributes:
        width: Channels of a token; heads have 64 channels, or half the width if that is less.
        layers: Decoder layers.
        context: Bytes of a sequence.
        batch: Sequences per step.
        steps: Steps of AdamW; the rate rises over a tenth of them and then falls as a cosine.
        learning_rate: Highest rate.
        seed: Of weights and sequences.
    """

    width: int = 256
    layers: int = 4
    context: int = 512
    batch: int = 8
    steps: int = 400
    learning_rate: float = 2e-3
    seed: int = 0


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("folder", type=Path)
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--threads", type=int, help="default: torch's choice")
    options = vars(parser.parse_args())
    folder, threads = options.pop("folder"), options.pop("threads")
    if threads:
        torch.set_num_threads(threads)
    facts = train(folder, Settings(**options), documentation())
    print(f"{folder}: {facts['bits_per_byte']:.3f} bits per byte after {facts['seconds']:.0f} s "
          f"({facts['bits_per_byte_of_single_bytes']:.3f} as single bytes)")  # fmt: skip


def documentation() -> list[bytes]:
    """Return the texts of this machine, each once, in an order that depends on nothing else."""
    texts = [*_docstrings(Path(sysconfig.get_path("stdlib"))), *_language_reference(), *_readmes(DOCUMENTS)]
    return list({hashlib.sha256(text).digest(): text for text in texts if len(text) >= SHORTEST}.values())


def train(folder: Path, settings: Settings, texts: Sequence[bytes]) -> dict[str, Any]:
    """Train on ``texts``, save the model and return the contents of ``training.json``.

    Raises:
        ValueError: There is too little text for training or for the held-out part.
    """
    from transformers import LlamaForCausalLM

    kept, held_out = (_concatenate(part, settings.context) for part in _parts(texts))
    torch.manual_seed(settings.seed)
    model = LlamaForCausalLM(_shape(settings))
    begin = time.perf_counter()
    _fit(model, kept, settings)
    facts = {
        **asdict(settings),
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "bytes": len(kept),
        "bytes_held_out": len(held_out),
        "sha256": hashlib.sha256(SEPARATOR.join(texts)).hexdigest(),
        "seconds": round(time.perf_counter() - begin, 1),
        "threads": torch.get_num_threads(),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "bits_per_byte": bits_per_byte(model, held_out, settings.context),
        "bits_per_byte_of_single_bytes": _entropy(kept, held_out),
    }
    model.save_pretrained(folder)
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
    return facts


@torch.no_grad()
def bits_per_byte(model: Any, text: Tensor, context: int, most: int = 128) -> float:
    """Return the mean over ``most`` sequences of ``context`` bytes spread over ``text``."""
    starts = torch.linspace(0, len(text) - context - 1, most).long().unique()
    losses = [_loss(model, text[None, start : start + context + 1]) for start in starts]
    return float(torch.stack(losses).mean()) / math.log(2)


def _fit(model: Any, text: Tensor, settings: Settings) -> None:
    optimiser = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.1
    )
    rise = max(1, settings.steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min((step + 1) / rise, 0.5 + 0.5 * math.cos(math.pi * step / settings.steps)),
    )
    draw = torch.Generator().manual_seed(settings.seed)
    for step in range(settings.steps):
        starts = torch.randint(len(text) - settings.context, (settings.batch, 1), generator=draw)
        loss = _loss(model, text[starts + torch.arange(settings.context + 1)])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == settings.steps - 1:
            print(f"step {step + 1}: {float(loss.detach()) / math.log(2):.3f} bits per byte", flush=True)


def _loss(model: Any, sequences: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats of each byte given the previous ones; (B, bytes) uint8."""
    ids = sequences.long()
    scores = model(input_ids=ids[:, :-1], use_cache=False).logits
    return functional.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten())


def _shape(settings: Settings) -> Any:
    from transformers import LlamaConfig

    head = min(64, settings.width // 2)
    return LlamaConfig(
        vocab_size=256,
        hidden_size=settings.width,
        intermediate_size=-(-8 * settings.width // 48) * 16,  # 8/3 of the width, in steps of 16
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.width // head,
        num_key_value_heads=settings.width // head,
        max_position_embeddings=max(2048, settings.context),
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )


def _parts(texts: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Split into training texts and held-out texts, every twentieth."""
    held_out = [text for text in texts if hashlib.sha256(text).digest()[0] < 256 // 20]
    taken = set(held_out)
    return [text for text in texts if text not in taken], held_out


def _concatenate(texts: Sequence[bytes], context: int) -> Tensor:
    data = bytearray(SEPARATOR.join(texts))
    if len(data) < context + 2:
        raise ValueError(
            f"The training or held-out text has {len(data)} bytes; a sequence needs {context + 2}. Use more "
            "text or a shorter context."
        )
    return torch.frombuffer(data, dtype=torch.uint8)


def _entropy(kept: Tensor, held_out: Tensor) -> float:
    """Return bits per byte of ``held_out`` by byte frequencies in ``kept``, with add-one smoothing."""
    counts = torch.bincount(kept.long(), minlength=256).double() + 1
    return float(-torch.log2(counts / counts.sum())[held_out.long()].mean())


def _docstrings(folder: Path) -> Iterator[bytes]:
    """Yield all docstrings below a folder, without tests and installed packages."""
    for path in sorted(folder.rglob("*.py")):
        if {"site-packages", "dist-packages", "test", "tests"}.isdisjoint(path.relative_to(folder).parts):
            for node in ast.walk(_parsed(path)):
                if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield (ast.get_docstring(node) or "").encode("utf-8", "replace")


def _parsed(path: Path) -> ast.AST:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])  # some library files are deliberately invalid


def _language_reference() -> Iterator[bytes]:
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield topics[name].encode()


def _readmes(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.rglob("README*")):
        if path.is_file() and path.suffix in ("", ".txt", ".md", ".rst"):
            yield path.read_bytes()


if __name__ == "__main__":
    main()
