"""NIfTI files with chosen bytes in them."""

import gzip

import nibabel
import numpy as np


def header(shape=(4, 3, 2), dtype=np.int16, version=1, order="<", **fields):
    """A right header of an int16 image, with fields overwritten, unchecked."""
    kind = nibabel.Nifti1Header if version == 1 else nibabel.Nifti2Header
    made = kind(endianness=order)
    made.set_data_dtype(dtype)
    made.set_data_shape(shape)
    affine = np.diag([1.5, 1.0, 2.0, 1.0])
    made.set_sform(affine, 1)
    made.set_qform(affine, 1)
    made.set_xyzt_units(2)
    made["vox_offset"] = 352 if version == 1 else 544
    made["scl_slope"], made["scl_inter"] = 1, 0
    for name, value in fields.items():
        if isinstance(value, dict):
            for place, entry in value.items():
                made.structarr[name][place] = entry
        else:
            made.structarr[name] = value
    return made.structarr.tobytes()


def nifti(shape=(4, 3, 2), dtype=np.int16, flag=b"\0\0\0\0", extensions=b"", data=None, **fields):
    """A right file, with fields overwritten."""
    if extensions and "vox_offset" not in fields:
        fields["vox_offset"] = 352 + len(extensions)
    voxels = np.arange(np.prod(shape)).astype(dtype).tobytes() if data is None else data
    return header(shape, dtype, **fields) + flag + extensions + voxels


def put(path, content):
    """Write bytes, compressed if the name says so; returns the path."""
    path.write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
    return path
