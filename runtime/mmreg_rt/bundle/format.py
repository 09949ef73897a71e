"""Opens, verifies and writes bundles; the format is specified in ``mmreg_rt.bundle``."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import BundleError, InputError
from ..io.files import atomic_write
from ..onnx_model.validation import ModelFacts, check_model
from .container import BundleFiles, bundle_files
from .golden import GoldenPair, golden_bytes, read_golden, self_test
from .intended_use import Finding, check_intended_use
from .manifest import FIELDS, FORMAT, MAX_MANIFEST_BYTES, Manifest, parse_manifest
from .network_size import check_sizes
from .signature import SIGNATURE_BYTES, is_signed, sign

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..onnx_model.footprint import Footprint

    AnyPath = str | os.PathLike[str]

__all__ = [
    "Bundle",
    "Finding",
    "GoldenPair",
    "Manifest",
    "check_intended_use",
    "golden_bytes",
    "open_bundle",
    "self_test",
    "write_bundle",
]

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"


class Bundle:
    """An opened bundle. What it hands out has been compared with the manifest, each time it is read."""

    def __init__(self, files: BundleFiles, manifest: Manifest, signed: bool, raw: bytes) -> None:
        self._files = files
        self.manifest = manifest
        self.manifest_bytes = raw
        self.signed = signed  # whether a signature was asked for and is right
        self._facts: dict[str, tuple[ModelFacts, Footprint]] = {}  # of models, whose checksums are known

    @property
    def path(self) -> Path:
        """The folder or zip."""
        return self._files.path

    def file(self, name: str) -> bytes:
        """A file of the manifest, such as its card, with the size and checksum that are declared.

        Raises:
            BundleError: There is no such file, or it has changed.
        """
        facts = self.manifest.files.get(name)
        if facts is None:
            raise BundleError(
                "MMREG_E_BUNDLE_FILE_MISSING",
                f"{self.path} has no file {name[:100]!r}. It has: {', '.join(self.manifest.files)}.",
            )
        data = self._files.read(name)
        found = hashlib.sha256(data).hexdigest()
        if found != facts.sha256:
            raise BundleError(
                "MMREG_E_BUNDLE_HASH",
                f"{name} in {self.path} has the SHA-256 {found[:16]}...; the manifest declares "
                f"{facts.sha256[:16]}... It was damaged or changed: copy the bundle again from its source.",
            )
        return data

    def model(self, precision: str = "fp32", stage: int = 0) -> tuple[bytes, ModelFacts]:
        """The ONNX file of a precision, checked, and what is in it; of a bundle with stages, of that one.

        ``"bf16"`` is arithmetic, not a file: it runs that of ``"fp32"``.

        Raises:
            BundleError: There is none, it has changed, or it is not what the manifest says.
        """
        name = self._model_file(precision, stage)
        data = self.file(name)
        if name not in self._facts:
            facts = check_model(data)
            _check_interface(self.manifest, facts, name)
            self._facts[name] = facts, check_sizes(self.manifest, facts, self.golden().fixed.shape)
        return data, self._facts[name][0]

    def golden_footprint(self, precision: str = "fp32", stage: int = 0) -> Footprint:
        """What the network of ``model`` takes for the golden pair."""
        name = self._model_file(precision, stage)
        if name not in self._facts:
            self.model(precision, stage)
        return self._facts[name][1]

    def _model_file(self, precision: str, stage: int) -> str:
        name = self.manifest.stages[stage].get("fp32" if precision == "bf16" else precision)
        if name is None:
            raise BundleError(
                "MMREG_E_BUNDLE_PRECISION",
                f"{self.path} has {', '.join(self.manifest.precisions)}; asked was {precision!r}. Choose one "
                "of these.",
            )
        return name

    def model_bytes(self, precision: str = "fp32", stage: int = 0) -> bytes:
        """The ONNX file of a precision, as ``model`` gives it."""
        return self.model(precision, stage)[0]

    def golden(self) -> GoldenPair:
        """The pair with a known result."""
        return read_golden(self.file(self.manifest.golden.file), self.manifest)


def open_bundle(path: AnyPath, verify: bool = True, public_key: bytes | None = None) -> Bundle:
    """The bundle at ``path``, a folder or a zip.

    Args:
        path: Where it lies.
        verify: Read and check every file now. Else each is checked when it is asked for; nothing is ever
            handed out unchecked.
        public_key: Of Ed25519, 32 raw bytes or PEM. The manifest must be signed with its private key.

    Raises:
        BundleError: It is not a bundle, or not as its manifest says, or not signed as asked.

    Example:
        >>> bundle = open_bundle("brain.mmreg")  # doctest: +SKIP
        >>> bundle.manifest.output.kind  # doctest: +SKIP
        'velocity'
    """
    files = bundle_files(Path(path))
    raw = _read_manifest(files)
    if public_key is not None:
        _check_signature(files, raw, public_key)
    manifest = parse_manifest(raw)
    _check_listing(files, manifest)
    bundle = Bundle(files, manifest, public_key is not None, raw)
    if verify:
        _verify(bundle)
    return bundle


def write_bundle(
    path: AnyPath,
    manifest_without_files: Mapping[str, Any],
    files: Mapping[str, bytes],
    zip: bool = True,  # noqa: A002 (the word for it)
    private_key: bytes | None = None,
) -> Bundle:
    """Write a bundle; it appears whole, checked as ``open_bundle`` does, or not at all.

    The same content gives the same bytes. A zip that is there already is replaced, a folder is not.

    Args:
        path: ``NAME.mmreg``.
        manifest_without_files: The manifest as plain data; ``format`` may, ``files`` is left out.
        files: Content by name: models, card, golden pair and what else belongs to it.
        zip: One file; else a folder.
        private_key: Of Ed25519, 32 raw bytes or PEM without a password, to sign with.

    Raises:
        BundleError: What would be written is no bundle.
        InputError: Nothing can be written there.
    """
    target = Path(path)
    facts = {n: {"sha256": hashlib.sha256(d).hexdigest(), "bytes": len(d)} for n, d in files.items()}
    plain = {"format": FORMAT, **manifest_without_files, "files": facts}
    raw = (json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    content = {MANIFEST: raw}
    if private_key is not None:
        content[SIGNATURE] = sign(raw, private_key)
    if reserved := content.keys() & files.keys() | {SIGNATURE} & files.keys():
        raise BundleError(
            "MMREG_E_BUNDLE_NAME",
            f"{', '.join(sorted(reserved))} is written by write_bundle itself. Leave it out of the files.",
        )
    content.update(sorted(files.items()))
    if zip:
        with atomic_write(target) as stream:
            _write_zip(stream, content)
            stream.flush()
            open_bundle(stream.name)
    else:
        with _new_folder(target) as partial:
            for name, data in content.items():
                (partial / name).write_bytes(data)
            open_bundle(partial)
    return open_bundle(target, verify=False)


def _read_manifest(files: BundleFiles) -> bytes:
    size = files.sizes.get(MANIFEST)
    if size is None:
        raise BundleError(
            "MMREG_E_BUNDLE_FILE_MISSING",
            f"{files.path} has no {MANIFEST}, so it is no bundle. Give the folder or zip that has it.",
        )
    if size > MAX_MANIFEST_BYTES:
        raise BundleError(
            "MMREG_E_BUNDLE_TOO_LARGE",
            f"A manifest has at most {MAX_MANIFEST_BYTES} bytes; that of {files.path} has {size}. Write "
            "bundles with write_bundle.",
        )
    return files.read(MANIFEST)


def _check_signature(files: BundleFiles, raw: bytes, public_key: bytes) -> None:
    size = files.sizes.get(SIGNATURE)
    if size is None:
        raise BundleError(
            "MMREG_E_SIGNATURE_MISSING",
            f"A signed bundle was asked for; {files.path} has no {SIGNATURE}. Get it from the one who signs.",
        )
    if size != SIGNATURE_BYTES or not is_signed(raw, files.read(SIGNATURE), public_key):
        raise BundleError(
            "MMREG_E_SIGNATURE_WRONG",
            f"The manifest of {files.path} is not signed with the key that was given. Do not use it; get the "
            "bundle, or the key, again.",
        )


def _check_listing(files: BundleFiles, manifest: Manifest) -> None:
    """The files that are there must be those of the manifest, of the sizes it declares."""
    present = files.sizes.keys() - {MANIFEST, SIGNATURE}
    if missing := sorted(manifest.files.keys() - present):
        raise BundleError(
            "MMREG_E_BUNDLE_FILE_MISSING",
            f"{files.path} lacks {', '.join(missing)}, which its manifest declares. Copy the bundle again.",
        )
    if surplus := sorted(present - manifest.files.keys()):
        raise BundleError(
            "MMREG_E_BUNDLE_FILE_UNDECLARED",
            f"{files.path} has {', '.join(surplus)[:300]}, which its manifest does not declare. Remove it.",
        )
    for name, facts in manifest.files.items():
        if files.sizes[name] != facts.bytes:
            raise BundleError(
                "MMREG_E_BUNDLE_SIZE",
                f"{name} in {files.path} has {files.sizes[name]} bytes; the manifest declares {facts.bytes}. "
                "Copy the bundle again.",
            )


def _verify(bundle: Bundle) -> None:
    """Read everything once, the models and the golden pair as what they are."""
    manifest = bundle.manifest
    for stage, precisions in enumerate(manifest.stages):
        for precision in precisions:
            bundle.model(precision, stage)
    pair = bundle.golden()
    if manifest.rigid is not None:
        _check_rigid_golden(manifest, pair)
    if manifest.output.kind in FIELDS and pair.output.shape[0] != manifest.dims:
        raise BundleError(
            "MMREG_E_BUNDLE_GOLDEN",
            f"The golden output of a {manifest.output.kind} has {manifest.dims} channels first; found shape "
            f"{pair.output.shape}. Write it with golden_bytes.",
        )
    models = {file for stage in manifest.stages for file in stage.values()}
    for name in manifest.files.keys() - {*models, manifest.golden.file}:
        bundle.file(name)


def _check_rigid_golden(manifest: Manifest, pair: GoldenPair) -> None:
    assert manifest.rigid is not None
    wanted = manifest.rigid.size, (len(manifest.stages), 6)
    if (pair.fixed.shape, pair.output.shape) != wanted:
        raise BundleError(
            "MMREG_E_BUNDLE_GOLDEN",
            f"The golden pair of these networks has shape {wanted[0]} and an output of {wanted[1]}; found "
            f"{pair.fixed.shape} and {pair.output.shape}. Write it with golden_bytes.",
        )


def _check_interface(manifest: Manifest, facts: ModelFacts, file: str) -> None:
    """Names, types and dimensions of a network's inputs and output."""
    kind = manifest.output.kind
    names = ("image",) if kind == "descriptor" else ("fixed", "moving")
    found = [value.name for value in (*facts.inputs, *facts.outputs)]
    if {*found} != {*names, "output"} or len(facts.outputs) != 1 or facts.outputs[0].name != "output":
        raise _not_the_network(file, f"inputs {', '.join(names)} and the one output 'output'", str(found[:8]))
    rank, multiple = manifest.dims + 2, manifest.preprocess.multiple
    for value in (*facts.inputs, *facts.outputs):
        if value.dtype != "float32":
            raise _not_the_network(file, "float32 inputs and output", f"{value.name} of {value.dtype}")
        fields = value.name != "output" or kind in (*FIELDS, "descriptor")
        if fields and len(value.dims) != rank:
            raise _not_the_network(file, f"{rank} dimensions", f"{value.name} with {value.dims}")
    for value in facts.inputs:
        sizes = [n for n in value.dims[2:] if isinstance(n, int)]
        if value.dims[:2] != (1, 1) or any(n < 1 or n % multiple for n in sizes):
            wanted = f"(1, 1, ...) with sizes that are symbols or multiples of {multiple}"
            raise _not_the_network(file, wanted, f"{value.name} with {value.dims}")
    if manifest.rigid is not None:
        dims = {value.name: value.dims for value in (*facts.inputs, *facts.outputs)}
        image = (1, 1, *manifest.rigid.size)
        if dims != {"fixed": image, "moving": image, "output": (1, 6)}:
            raise _not_the_network(file, f"images of {image} and the output (1, 6)", str(dims))
    channels = [n for n in facts.outputs[0].dims[1:2] if isinstance(n, int)]
    if kind in (*FIELDS, "descriptor") and channels not in ([], [manifest.output.channels]):
        raise _not_the_network(file, f"{manifest.output.channels} output channels", str(channels[0]))


def _not_the_network(file: str, wanted: str, found: str) -> BundleError:
    return BundleError(
        "MMREG_E_BUNDLE_MODEL",
        f"By the manifest {file} needs {wanted}; found {found[:200]}. Export the network again.",
    )


def _write_zip(stream: BinaryIO, content: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as file:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name)  # of 1980: the time is not part of the content
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            file.writestr(entry, data)


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """A folder that appears under ``path`` when the block ends well, and not at all when it does not."""
    partial = path.with_name(f".mmreg-{secrets.token_hex(4)}.partial")  # short: names may have 255 bytes
    try:
        if path.exists():
            raise FileExistsError(17, "it is there already", str(path))
        partial.mkdir()
        yield partial
        partial.rename(path)
    except OSError as reason:
        raise InputError(
            "MMREG_E_OUTPUT",
            f"Cannot write {path}: {reason.strerror}; nothing was left behind. Choose another name, in a "
            "folder with room and write permission.",
        ) from reason
    finally:
        shutil.rmtree(partial, ignore_errors=True)
