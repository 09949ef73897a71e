"""HDF5 files of transforms: only plain datasets in the file are read, none larger than it can hold."""

from __future__ import annotations

import contextlib
import io
import math
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..errors import MmregError, TransformError
from . import files
from .extras import library
from .gunzip import DEFLATE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..geometry import Array

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_ENTRIES = 64  # of a group
MAX_TEXT = 4096
CODE = "MMREG_E_HDF5"


@contextlib.contextmanager
def opened(stream: BinaryIO, path: Path) -> Iterator[Group]:
    """Open an HDF5 file for reading, in a process that may crash: see ``hdf5_process``.

    Raises:
        TransformError: It is damaged, or has links or data outside of it.
    """
    h5py = library("h5py", "formats", path)
    try:
        with h5py.File(stream, "r") as file:
            yield Group(file, path, files.size_of(stream), h5py)
    except MmregError:
        raise
    except Exception as reason:  # HDF5 reports damage by errors of many classes
        raise damaged(path, f"a readable structure ({str(reason)[:80]})") from reason


@contextlib.contextmanager
def created(path: Path) -> Iterator[Any]:
    """Yield a new HDF5 file of h5py, which is written under ``path`` when the block succeeds."""
    h5py = library("h5py", "formats", path)
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        yield file
    with files.atomic_write(path) as stream:
        stream.write(content.getbuffer())


class Group:
    """A group whose entries are checked before they are read."""

    def __init__(self, group: Any, path: Path, size: int, h5py: Any) -> None:
        self._group, self._path, self._size, self._h5py = group, path, size, h5py

    def names(self) -> list[str]:
        """Return the names of the entries."""
        if len(self._group) > MAX_ENTRIES:
            raise damaged(self._path, f"at most {MAX_ENTRIES} entries in a group")
        return [str(name) for name in self._group]

    def group(self, name: str) -> Group:
        """Return a group in this one."""
        entry = self._entry(name)
        if not isinstance(entry, self._h5py.Group):
            raise damaged(self._path, f"a group {name}")
        return Group(entry, self._path, self._size, self._h5py)

    def attribute(self, name: str) -> Any:
        """Return a small attribute as str or number, or None."""
        if name not in self._group.attrs:
            return None
        identity = self._group.attrs.get_id(name)
        if identity.get_storage_size() > MAX_TEXT:
            raise damaged(self._path, f"a short attribute {name}")
        value = self._group.attrs[name]
        return value.decode(errors="replace") if isinstance(value, bytes) else value

    def text(self, name: str) -> str:
        """Return a dataset of one string."""
        data = self._dataset(name)
        if data.size != 1 or data.dtype.kind not in "OS" or data.dtype.itemsize > MAX_TEXT:
            raise damaged(self._path, f"one string in {name}")
        value = np.asarray(data[()]).ravel()[0]
        return (value.decode(errors="replace") if isinstance(value, bytes) else str(value))[:MAX_TEXT]

    def numbers(self, name: str) -> Array:
        """Return a dataset of real numbers, as float64 or float32."""
        data = self._dataset(name)
        if data.dtype.kind not in "iuf" or data.dtype.itemsize > 8:
            raise damaged(self._path, f"real numbers in {name}")
        if not data.shape or not data.size:
            return np.zeros(0) if data.shape else np.asarray(data[()], np.float64)
        filters = {"gzip": DEFLATE_LIMIT, "lzf": DEFLATE_LIMIT, None: 1}
        if data.compression not in filters:
            raise damaged(self._path, f"no compression or gzip in {name}")
        stored = data.id.get_storage_size()
        whole = math.prod(data.shape) * data.dtype.itemsize
        chunk = math.prod(data.chunks or (0,)) * data.dtype.itemsize
        if stored > self._size or max(whole, chunk) > stored * filters[data.compression]:
            raise damaged(self._path, f"all {whole} bytes of {name}")
        kind = np.float32 if data.dtype.kind == "f" and data.dtype.itemsize <= 4 else np.float64
        return np.asarray(data[()], kind)

    def __contains__(self, name: str) -> bool:
        return name in self._group

    def _dataset(self, name: str) -> Any:
        entry = self._entry(name)
        if not isinstance(entry, self._h5py.Dataset):
            raise damaged(self._path, f"a dataset {name}")
        if entry.external or entry.is_virtual:
            raise damaged(self._path, f"the data of {name} in the file itself")
        return entry

    def _entry(self, name: str) -> Any:
        link = self._group.get(name, getlink=True)
        if link is None or not isinstance(link, self._h5py.HardLink):
            raise damaged(self._path, f"an entry {name} that is no link to elsewhere")
        return self._group[name]


def damaged(path: Path, expected: str) -> TransformError:
    """Return the error for an HDF5 file that cannot be read."""
    return TransformError(CODE, f"{path} cannot be read as HDF5: it needs {expected}. Write it again.")
