"""The folder of a deployment on disk: read within bounds, nothing in it but what its manifest declares."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..bundle.signature import SIGNATURE_BYTES, is_signed
from ..errors import BundleError
from . import grammar
from .manifest import FileFacts, Manifest, network_files, parse_manifest

MANIFEST, SIGNATURE = "deployment.txt", "deployment.sig"


@dataclass(frozen=True)
class Deployment:
    """A deployment whose files are those of its manifest.

    Attributes:
        path: Its folder.
        manifest: Its checked values.
        files: Content of every file by name, but of manifest and signature.
        signed: A signature was requested and is valid.
    """

    path: Path
    manifest: Manifest
    files: Mapping[str, bytes] = field(repr=False)
    signed: bool

    def network(self, stage: int) -> dict[str, bytes]:
        """Return the files of a network by the names that its engine has for them."""
        names = network_files(self.manifest.engine, stage)
        return {name: self.files[file] for name, file in names.items()}


def open_deployment(path: str | os.PathLike[str], public_key: bytes | None = None) -> Deployment:
    """Read a deployment and check all that needs no engine.

    Args:
        path: Its folder.
        public_key: Ed25519 key, 32 raw bytes or PEM; the manifest must be signed with its private key.

    Raises:
        BundleError: A rule of the format is broken, each with a code of its own.
    """
    folder = Path(path)
    raw = _manifest(folder)
    _check_signature(folder, raw, public_key)
    manifest = parse_manifest(raw)
    _check_listing(folder, manifest)
    files = {name: _checked_file(folder, name, facts) for name, facts in manifest.files.items()}
    return Deployment(folder, manifest, files, public_key is not None)


def _manifest(folder: Path) -> bytes:
    raw = _read(folder, MANIFEST, grammar.MAX_BYTES + 1)
    if raw is None:
        raise BundleError(
            "MMREG_E_DEPLOYMENT_MISSING",
            f"{folder} is no folder with a readable {MANIFEST}, so it is not a deployment. Give the folder "
            "that `mmreg deploy` wrote.",
        )
    grammar.check_length(raw)
    return raw


def _check_signature(folder: Path, raw: bytes, public_key: bytes | None) -> None:
    signature = _read(folder, SIGNATURE, SIGNATURE_BYTES + 1)
    if signature is None and public_key is not None:
        raise BundleError(
            "MMREG_E_DEPLOYMENT_SIGNATURE_MISSING",
            f"A signed deployment was requested; {folder} has no {SIGNATURE}. Get it from its signer.",
        )
    wrong = signature is not None and len(signature) != SIGNATURE_BYTES
    if signature is not None and public_key is not None and not wrong:
        wrong = not is_signed(raw, signature, public_key)
    if wrong:
        raise BundleError(
            "MMREG_E_DEPLOYMENT_SIGNATURE",
            f"{SIGNATURE} in {folder} is not the signature of {MANIFEST} by this key. Do not use the folder; "
            "get it, or the key, again.",
        )


def _check_listing(folder: Path, manifest: Manifest) -> None:
    """Raise unless the folder has the files of the manifest and nothing else."""
    try:
        present = {*os.listdir(folder)} - {MANIFEST, SIGNATURE}
    except OSError as reason:
        raise _unreadable(folder, reason) from reason
    if surplus := sorted(present - manifest.files.keys()):
        raise BundleError(
            "MMREG_E_DEPLOYMENT_FILE_UNDECLARED",
            f"{folder} has {', '.join(surplus)[:300]!r}, which its manifest does not declare. Remove "
            "it, if it came there by mistake.",
        )
    if missing := sorted(manifest.files.keys() - present):
        raise BundleError(
            "MMREG_E_DEPLOYMENT_FILE_MISSING",
            f"{folder} lacks {', '.join(missing)}, which its manifest declares. Copy the folder again from "
            "its source.",
        )


def _checked_file(folder: Path, name: str, facts: FileFacts) -> bytes:
    data = _read(folder, name, facts.bytes + 1)
    found = -1 if data is None else len(data)
    if data is None or found != facts.bytes:
        raise BundleError(
            "MMREG_E_DEPLOYMENT_FILE_SIZE",
            f"{name} in {folder} must have {facts.bytes} bytes by the manifest; it has "
            f"{'more' if found > facts.bytes else max(found, 0)}. Copy the folder again from its source.",
        )
    if hashlib.sha256(data).hexdigest() != facts.sha256:
        raise BundleError(
            "MMREG_E_DEPLOYMENT_FILE_HASH",
            f"{name} in {folder} does not have the SHA-256 that the manifest declares. It was damaged or "
            "changed: copy the folder again from its source.",
        )
    return data


def _read(folder: Path, name: str, limit: int) -> bytes | None:
    """Read up to ``limit`` bytes of a plain file; return None if there is none of that name.

    Raises:
        BundleError: It is a link, a folder or a device, or cannot be read.
    """
    path = folder / name
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):  # opening a device can already have an effect
            raise _not_plain(path)
        with open(path, "rb", opener=lambda at, _: os.open(at, flags)) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise _not_plain(path)
            return stream.read(min(limit, os.fstat(stream.fileno()).st_size + 1))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as reason:
        raise _unreadable(path, reason) from reason


def _not_plain(path: Path) -> BundleError:
    return BundleError(
        "MMREG_E_DEPLOYMENT_FILE_LINK",
        f"{path} is a link, a folder or a device; a deployment has plain files only. Copy the folder again, "
        "with its files.",
    )


def _unreadable(path: Path, reason: OSError | ValueError) -> BundleError:
    return BundleError(
        "MMREG_E_DEPLOYMENT_MISSING",
        f"Cannot read {path}: {getattr(reason, 'strerror', None) or reason}. Check path and permissions.",
    )
