"""Opening, verifying and writing of bundles; ``mmreg_rt.bundle`` specifies the format."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import BundleError
from ..io.files import atomic_write, new_folder
from ..onnx_model.validation import ModelFacts, check_model
from .container import BundleFiles, bundle_files
from .golden import GoldenPair, golden_bytes, read_golden, self_test
from .intended_use import Finding, check_intended_use
from .manifest import FIELDS, FORMAT, MAX_MANIFEST_BYTES, Manifest, parse_manifest
from .network_size import check_sizes
from .signature import SIGNATURE_BYTES, is_signed, sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..onnx_model.footprint import Footprint

    AnyPath = str | os.PathLike[str]

__all__ = [
    "Bundle",
    "BundleModel",
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


@dataclass(frozen=True)
class BundleModel:
    """A network of a bundle, checked against the manifest.

    Attributes:
        onnx: Bytes of the ONNX file.
        facts: Facts about the file.
        golden: Memory and work of a run on the golden pair.
    """

    onnx: bytes = field(repr=False)
    facts: ModelFacts
    golden: Footprint


class Bundle:
    """An opened bundle. Each file is compared with the manifest when it is read.

    Networks and the golden pair are read once and kept; other files are read each time.
    """

    def __init__(self, files: BundleFiles, manifest: Manifest, signed: bool, raw: bytes) -> None:
        self._files = files
        self.manifest = manifest
        self.manifest_bytes = raw
        self.signed = signed  # a signature was requested and is valid
        self._models: dict[str, BundleModel] = {}  # by file name
        self._golden: GoldenPair | None = None

    @property
    def path(self) -> Path:
        """Path of the folder or zip."""
        return self._files.path

    def file(self, name: str) -> bytes:
        """Return a file of the manifest, such as its card, after checking size and checksum.

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
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 != facts.sha256:
            raise BundleError(
                "MMREG_E_BUNDLE_HASH",
                f"{name} in {self.path} has the SHA-256 {sha256[:16]}...; the manifest declares "
                f"{facts.sha256[:16]}... It was damaged or changed: copy the bundle again from its source.",
            )
        return data

    def model(self, precision: str = "fp32", stage: int = 0) -> BundleModel:
        """Return a network, checked.

        Args:
            precision: A precision of the manifest, or ``"bf16"``, which runs the file of ``"fp32"``.
            stage: Index of the network in a bundle with stages.

        Raises:
            BundleError: There is no such file, it has changed, or it does not match the manifest.
        """
        name = self._model_file(precision, stage)
        if name not in self._models:
            data = self.file(name)
            facts = check_model(data)
            _check_interface(self.manifest, facts, name)
            golden = check_sizes(self.manifest, facts, self.golden().fixed.shape)
            self._models[name] = BundleModel(data, facts, golden)
        return self._models[name]

    def _model_file(self, precision: str, stage: int) -> str:
        name = self.manifest.stages[stage].get("fp32" if precision == "bf16" else precision)
        if name is None:
            raise BundleError(
                "MMREG_E_BUNDLE_PRECISION",
                f"{self.path} has {', '.join(self.manifest.precisions)}; {precision!r} was requested. Choose "
                "one of these.",
            )
        return name

    def golden(self) -> GoldenPair:
        """Return the golden pair: network inputs with a known output."""
        if self._golden is None:
            self._golden = read_golden(self.file(self.manifest.golden.file), self.manifest)
        return self._golden


def open_bundle(path: AnyPath, verify: bool = True, public_key: bytes | None = None) -> Bundle:
    """Open a bundle.

    Args:
        path: A folder or a zip.
        verify: Read and check every file now. Otherwise each is checked when it is read; no file is ever
            returned unchecked.
        public_key: Ed25519 key, 32 raw bytes or PEM; the manifest must be signed with its private key.

    Returns:
        The bundle.

    Raises:
        BundleError: It is not a bundle, does not match its manifest, or is not signed with the key.

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
    """Write a bundle, whole and checked as by ``open_bundle``, or not at all.

    The same content gives the same bytes. An existing zip is replaced, an existing folder is not.

    Args:
        path: ``NAME.mmreg``.
        manifest_without_files: The manifest as plain data, without ``files``; ``format`` is optional.
        files: Content by name: models, card, golden pair and other files.
        zip: Write one file, not a folder.
        private_key: Ed25519 key to sign with, 32 raw bytes or PEM without a password.

    Returns:
        The bundle as written.

    Raises:
        BundleError: The content is not a valid bundle.
        InputError: The bundle cannot be written there.
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
        with new_folder(target) as partial:
            for name, data in content.items():
                (partial / name).write_bytes(data)
            open_bundle(partial)
    return open_bundle(target, verify=False)


def _read_manifest(files: BundleFiles) -> bytes:
    size = files.sizes.get(MANIFEST)
    if size is None:
        raise BundleError(
            "MMREG_E_BUNDLE_FILE_MISSING",
            f"{files.path} has no {MANIFEST}, so it is not a bundle. Give the folder or zip that has one.",
        )
    if size > MAX_MANIFEST_BYTES:
        raise BundleError(
            "MMREG_E_BUNDLE_TOO_LARGE",
            f"A manifest may have {MAX_MANIFEST_BYTES} bytes; that of {files.path} has {size}. Write bundles "
            "with write_bundle.",
        )
    return files.read(MANIFEST)


def _check_signature(files: BundleFiles, raw: bytes, public_key: bytes) -> None:
    size = files.sizes.get(SIGNATURE)
    if size is None:
        raise BundleError(
            "MMREG_E_SIGNATURE_MISSING",
            f"A signed bundle was requested; {files.path} has no {SIGNATURE}. Get it from its signer.",
        )
    if size != SIGNATURE_BYTES or not is_signed(raw, files.read(SIGNATURE), public_key):
        raise BundleError(
            "MMREG_E_SIGNATURE_WRONG",
            f"The manifest of {files.path} is not signed with this key. Do not use it; get the bundle, or "
            "the key, again.",
        )


def _check_listing(files: BundleFiles, manifest: Manifest) -> None:
    """Raise unless the files are those of the manifest, with the declared sizes."""
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
    """Read and check every file once, models and golden pair by their content."""
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
            f"The golden output of a {manifest.output.kind} must have {manifest.dims} channels first; found "
            f"shape {pair.output.shape}. Write it with golden_bytes.",
        )
    models = {file for stage in manifest.stages for file in stage.values()}
    for name in manifest.files.keys() - {*models, manifest.golden.file}:
        bundle.file(name)


def _check_rigid_golden(manifest: Manifest, pair: GoldenPair) -> None:
    assert manifest.rigid is not None
    shapes = manifest.rigid.size, (len(manifest.stages), 6)
    if (pair.fixed.shape, pair.output.shape) != shapes:
        raise BundleError(
            "MMREG_E_BUNDLE_GOLDEN",
            f"The golden pair of these networks must have shape {shapes[0]} and output {shapes[1]}; found "
            f"{pair.fixed.shape} and {pair.output.shape}. Write it with golden_bytes.",
        )


def _check_interface(manifest: Manifest, facts: ModelFacts, file: str) -> None:
    """Check names, types and dimensions of a network's inputs and output against the manifest."""
    kind = manifest.output.kind
    names = ("image",) if kind == "descriptor" else ("fixed", "moving")
    actual = [value.name for value in (*facts.inputs, *facts.outputs)]
    if {*actual} != {*names, "output"} or len(facts.outputs) != 1 or facts.outputs[0].name != "output":
        raise _mismatch(file, f"inputs {', '.join(names)} and the one output 'output'", str(actual[:8]))
    rank, multiple = manifest.dims + 2, manifest.preprocess.multiple
    for value in (*facts.inputs, *facts.outputs):
        if value.dtype != "float32":
            raise _mismatch(file, "float32 inputs and output", f"{value.name} of {value.dtype}")
        fields = value.name != "output" or kind in (*FIELDS, "descriptor")
        if fields and len(value.dims) != rank:
            raise _mismatch(file, f"{rank} dimensions", f"{value.name} with {value.dims}")
    for value in facts.inputs:
        sizes = [n for n in value.dims[2:] if isinstance(n, int)]
        if value.dims[:2] != (1, 1) or any(n < 1 or n % multiple for n in sizes):
            expected = f"(1, 1, ...) with sizes that are symbols or multiples of {multiple}"
            raise _mismatch(file, expected, f"{value.name} with {value.dims}")
    if manifest.rigid is not None:
        dims = {value.name: value.dims for value in (*facts.inputs, *facts.outputs)}
        image = (1, 1, *manifest.rigid.size)
        if dims != {"fixed": image, "moving": image, "output": (1, 6)}:
            raise _mismatch(file, f"images of {image} and the output (1, 6)", str(dims))
    channels = [n for n in facts.outputs[0].dims[1:2] if isinstance(n, int)]
    if kind in (*FIELDS, "descriptor") and channels not in ([], [manifest.output.channels]):
        raise _mismatch(file, f"{manifest.output.channels} output channels", str(channels[0]))


def _mismatch(file: str, expected: str, found: str) -> BundleError:
    return BundleError(
        "MMREG_E_BUNDLE_MODEL",
        f"By the manifest {file} needs {expected}; found {found[:200]}. Export the network again.",
    )


def _write_zip(stream: BinaryIO, content: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as file:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name)  # dated 1980: the time is not part of the content
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            file.writestr(entry, data)
