"""Endings of file names: the one list that readers, writers, the shell and the tests use."""

FIELDS = (".nii", ".nii.gz")
IMAGES = (*FIELDS, ".nrrd", ".nhdr", ".mha", ".mhd", ".mgh", ".mgz")
MATRICES = (".tfm", ".txt", ".mat")
POINTS = (".csv",)
READ_ONLY = (".mat", ".nhdr", ".mhd")

READ = {"image": IMAGES, "transform": (*FIELDS, *MATRICES), "points": POINTS}
EVERY = tuple(dict.fromkeys(ending for endings in READ.values() for ending in endings))
WRITTEN = {kind: tuple(e for e in endings if e not in READ_ONLY) for kind, endings in READ.items()}
