"""Cache of the engines that were built on this machine.

An engine is code for one GPU and one version of the library that made it. So each is stored with the facts
that it depends on, in a folder that nobody else can write to, under a message authentication code
(HMAC-SHA256, RFC 2104) whose key never leaves that folder. Both are checked before the library sees a byte.

A file is: ``mmreg-engine/1`` and a line feed, the 32-byte authentication code, the length of the facts (4
bytes, little endian), the facts as JSON, the engine. The code covers all that follows it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
import struct
from dataclasses import asdict, dataclass
from pathlib import Path

from ...errors import BackendUnavailableError, InputError
from ...io.files import atomic_write

MAGIC = b"mmreg-engine/1\n"
KEY_BYTES = 32


@dataclass(frozen=True)
class EngineFacts:
    """The facts that an engine depends on. Engines that differ in the first four are kept side by side."""

    model_sha256: str
    precision: str
    profile: str
    library: str
    library_version: str
    gpu: str
    compute_capability: int
    driver: str
    warps: str = "native"

    @property
    def name(self) -> str:
        """Name of the file."""
        words = f"{self.model_sha256}/{self.precision}/{self.profile}/{self.library}"
        return f"{hashlib.sha256(words.encode()).hexdigest()[:32]}.engine"


class EngineCache:
    """A folder of engines.

    Args:
        folder: Created if it does not exist.

    Raises:
        InputError: Others can write to the folder, or another user owns it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = private_folder(folder)

    def read(self, facts: EngineFacts) -> bytes | None:
        """Return the engine stored under ``facts``, or None if there is none.

        Raises:
            BackendUnavailableError: The stored engine was built for other facts (``MMREG_E_ENGINE_FOREIGN``:
                the message names what differs), or was modified (``MMREG_E_ENGINE_TAMPERED``).
        """
        path = self.folder / facts.name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        stored, plan = self._authenticated(path, data)
        current = asdict(facts)
        differing = [name for name in current if stored.get(name) != current[name]]
        if differing:
            words = "; ".join(
                f"{name} was {stored.get(name)!r} and is {current[name]!r}" for name in differing
            )
            raise BackendUnavailableError(
                "MMREG_E_ENGINE_FOREIGN",
                f"The engine {path} was built for another setup: {words}. Rebuild it with `mmreg compile`.",
            )
        return plan

    def write(self, facts: EngineFacts, plan: bytes) -> Path:
        """Store an engine, whole or not at all, and return its path."""
        path = self.folder / facts.name
        described = json.dumps(asdict(facts), sort_keys=True).encode()
        body = struct.pack("<I", len(described)) + described + plan
        with atomic_write(path) as stream:
            stream.write(MAGIC + self._code(body) + body)
        return path

    def _authenticated(self, path: Path, data: bytes) -> tuple[dict[str, object], bytes]:
        """Return facts and engine of a file, if its code was made with this folder's key."""
        start = len(MAGIC)
        code, body = data[start : start + 32], data[start + 32 :]
        if not data.startswith(MAGIC) or not hmac.compare_digest(code, self._code(body)):
            raise BackendUnavailableError(
                "MMREG_E_ENGINE_TAMPERED",
                f"The engine {path} was modified or comes from another machine, and was not loaded. Find out "
                "who changed it, delete it, and build it again with `mmreg compile`.",
            )
        (length,) = struct.unpack_from("<I", body)
        return json.loads(body[4 : 4 + length]), body[4 + length :]

    def _code(self, body: bytes) -> bytes:
        return hmac.digest(self._key(), body, "sha256")

    def _key(self) -> bytes:
        path = self.folder / "key"
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            return _create_key(path)
        if len(key) != KEY_BYTES or path.stat().st_mode & 0o077:
            raise InputError(
                "MMREG_E_CACHE_NOT_PRIVATE",
                f"The key {path} is damaged, or others can read it. Delete the folder {self.folder}; engines "
                "are then built again.",
            )
        return key


def _create_key(path: Path) -> bytes:
    """Create the key and return it; return the key of another process if that was faster."""
    key = secrets.token_bytes(KEY_BYTES)
    partial = path.with_name(f".key.{secrets.token_hex(4)}")
    partial.touch(0o600)
    partial.write_bytes(key)
    try:
        os.link(partial, path)  # fails if it exists
    except FileExistsError:
        return path.read_bytes()
    finally:
        partial.unlink()
    return key


def default_folder() -> Path:
    """Return ``$MMREG_CACHE``, or ``mmreg_rt/engines`` in the user's cache folder."""
    folder = os.environ.get("MMREG_CACHE")
    if folder:
        return Path(folder)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "mmreg_rt" / "engines"


def private_folder(folder: Path) -> Path:
    """Create the folder if it does not exist, and return it.

    Raises:
        InputError: Others can write to it, or another user owns it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.stat()
    if facts.st_uid != os.getuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InputError(
            "MMREG_E_CACHE_NOT_PRIVATE",
            f"Compiled networks are run as code, but others can write to {folder}. Make it private: "
            f"chmod 700 {folder}.",
        )
    return folder
