"""DICOM images: a series of slices in a folder, or a file with one or many frames. Needs the extra ``dicom``.

Positions are in LPS in the files. Slices are ordered by their position along the normal, never by name or
number; what does not fit together is refused with the reason. Messages hold no names, dates or identifiers of
patients.
"""

from .reading import DicomSource, is_dicom, load

__all__ = ["DicomSource", "is_dicom", "load"]
