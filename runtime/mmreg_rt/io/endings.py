"""Endings of file names: the one list that readers, writers, the shell and the tests use."""

FIELDS = (".nii", ".nii.gz")
PICTURES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
IMAGES = (*FIELDS, ".nrrd", ".nhdr", ".mha", ".mhd", ".mgh", ".mgz", *PICTURES)
MATRICES = (".tfm", ".txt", ".mat")
DIALECTS = (".h5", ".hdf5", ".x5", ".lta", ".xfm", ".1d", ".dcm", ".m3z")  # transforms of other programs
POINTS = (".csv",)
READ_ONLY = (".mat", ".m3z", ".nhdr", ".mhd", ".jpg", ".jpeg")

READ = {"image": IMAGES, "transform": (*FIELDS, *MATRICES, *DIALECTS), "points": POINTS}
EVERY = tuple(dict.fromkeys(ending for endings in READ.values() for ending in endings))
WRITTEN = {kind: tuple(e for e in endings if e not in READ_ONLY) for kind, endings in READ.items()}
# Programs whose transforms are read and written, see ``dialects``
DIALECT_NAMES = (
    *("itk", "ants", "slicer", "fsl", "freesurfer", "spm"),
    *("niftyreg", "afni", "elastix", "minc", "x5", "dicom"),
)

# Formats of results, by the ending of the scan whose format they take; NIfTI for every other
RESULT_OF = {
    ".nhdr": ".nrrd", ".nrrd": ".nrrd", ".mhd": ".mha", ".mha": ".mha", ".mgh": ".mgh", ".mgz": ".mgz",
    ".png": ".png", ".jpg": ".png", ".jpeg": ".png", ".tif": ".tif", ".tiff": ".tif",
}  # fmt: skip
RESULTS = (".nii.gz", *dict.fromkeys(RESULT_OF.values()))
