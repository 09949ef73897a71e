"""Point oracles: each writes or reads one format and returns how far points lie from those of its owner.

The page docs/transforms.md and the tests are made of this list.
"""

from collections.abc import Callable
from dataclasses import dataclass

import nibabel
import numpy as np
import pytest
from dialects.scenes import (
    AFFINE,
    FIXED,
    LPS,
    PAIRS,
    RIGID,
    chain,
    error_mm,
    field,
    image,
    mapped,
    matrix,
    points,
    saved,
    voxels,
)
from fixtures.m3z import m3z

from mmreg_rt import Composite, read_transform, write_transform

MATRIX_MM, FIELD_MM = 1e-3, 0.02


@dataclass(frozen=True)
class Oracle:
    """One cell of the table: a format read or written, and its owner."""

    dialect: str
    format: str
    direction: str  # "read" or "write"
    owner: str
    limit_mm: float
    error: Callable

    @property
    def name(self):
        return f"{self.dialect} {self.format} {self.direction} {self.owner}"


ORACLES: list[Oracle] = []


def oracle(dialect, format, direction, owner, limit_mm=MATRIX_MM):
    def declare(error):
        ORACLES.append(Oracle(dialect, format, direction, owner, limit_mm, error))
        return error

    return declare


def worst(error, pairs=PAIRS):
    """Largest error over pairs of grids."""
    return max(error(fixed, moving) for fixed, moving in pairs.values())


# ---- ITK and ANTs ------------------------------------------------------------------------------------------


def by_itk(transform, at):
    return np.array([transform.TransformPoint((p * LPS).tolist()) for p in at]) * LPS


def itk_affine(sitk):
    made = sitk.AffineTransform(3)
    made.SetMatrix(AFFINE.matrix[:3, :3].ravel().tolist())
    made.SetTranslation((1.0, -2.0, 3.0))
    made.SetCenter((11.0, -7.0, 5.0))
    return made


def itk_field(sitk, target):
    """A field of SimpleITK on a grid."""
    u = np.random.default_rng(3).normal(0, 1.5, (*target.shape, 3))
    made = sitk.GetImageFromArray(u, isVector=True)
    affine = np.diag([-1, -1, 1, 1]) @ target.affine[:, [2, 1, 0, 3]]
    spacing = np.array(target.spacing_mm[::-1])
    made.SetSpacing(spacing.tolist())
    made.SetOrigin(affine[:3, 3].tolist())
    made.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    return sitk.DisplacementFieldTransform(made)


def itk_spline(sitk):
    reference = sitk.Image([40, 30, 20], sitk.sitkFloat32)
    reference.SetSpacing((1.0, 1.5, 2.0))
    reference.SetOrigin((-20.0, 5.0, 30.0))
    reference.SetDirection(AFFINE_DIRECTION)
    made = sitk.BSplineTransformInitializer(reference, [5, 4, 3])
    made.SetParameters(np.random.default_rng(4).normal(0, 2, len(made.GetParameters())).tolist())
    index = np.random.default_rng(5).uniform(0.05, 0.95, (40, 3)) * [39, 29, 19]
    at = np.array([reference.TransformContinuousIndexToPhysicalPoint(i.tolist()) for i in index]) * LPS
    return made, at


AFFINE_DIRECTION = RIGID.matrix[:3, :3].ravel().tolist()


@oracle("itk", ".tfm", "write", "SimpleITK")
def itk_text_written(folder):
    sitk = pytest.importorskip("SimpleITK")
    write_transform(AFFINE, folder / "t.tfm")
    at = points(FIXED)
    return error_mm(by_itk(sitk.ReadTransform(str(folder / "t.tfm")), at), AFFINE.map_points(at))


@oracle("itk", ".tfm", "read", "SimpleITK")
def itk_text_read(folder):
    sitk = pytest.importorskip("SimpleITK")
    theirs = sitk.CompositeTransform(
        [itk_affine(sitk), sitk.Euler3DTransform((1, 2, 3), 0.1, 0.2, 0.3, (4, 5, 6))]
    )
    sitk.WriteTransform(theirs, str(folder / "t.tfm"))
    at = points(FIXED)
    return error_mm(read_transform(folder / "t.tfm").map_points(at), by_itk(theirs, at))


@oracle("itk", ".h5 chain", "write", "SimpleITK", FIELD_MM)
def itk_hdf5_written(folder):
    sitk = pytest.importorskip("SimpleITK")
    pytest.importorskip("h5py")

    def error(fixed, _):
        ours = Composite((AFFINE.inverse(), AFFINE, field(fixed), RIGID))
        write_transform(ours, folder / "t.h5")
        return error_mm(
            by_itk(sitk.ReadTransform(str(folder / "t.h5")), points(fixed)), ours.map_points(points(fixed))
        )

    return worst(error)


@oracle("itk", ".h5 chain", "read", "SimpleITK", FIELD_MM)
def itk_hdf5_read(folder):
    sitk = pytest.importorskip("SimpleITK")
    pytest.importorskip("h5py")

    def error(fixed, _):
        theirs = sitk.CompositeTransform(
            [itk_affine(sitk), itk_field(sitk, fixed)]
        )  # the field is applied first
        sitk.WriteTransform(theirs, str(folder / "t.h5"))
        return error_mm(
            read_transform(folder / "t.h5").map_points(points(fixed)), by_itk(theirs, points(fixed))
        )

    return worst(error)


@oracle("itk", ".h5 B-spline", "read", "SimpleITK", FIELD_MM)
def itk_spline_read(folder):
    sitk = pytest.importorskip("SimpleITK")
    pytest.importorskip("h5py")
    theirs, at = itk_spline(sitk)
    sitk.WriteTransform(theirs, str(folder / "t.h5"))
    return error_mm(read_transform(folder / "t.h5").map_points(at), by_itk(theirs, at))


@oracle("itk", ".h5 B-spline", "write", "SimpleITK", FIELD_MM)
def itk_spline_written(folder):
    sitk = pytest.importorskip("SimpleITK")
    pytest.importorskip("h5py")
    theirs, at = itk_spline(sitk)
    sitk.WriteTransform(theirs, str(folder / "t.h5"))
    write_transform(read_transform(folder / "t.h5"), folder / "again.h5")
    return error_mm(by_itk(sitk.ReadTransform(str(folder / "again.h5")), at), by_itk(theirs, at))


def by_ants(ants, path, at):
    transform = ants.read_transform(str(path))
    return np.array([ants.apply_ants_transform_to_point(transform, p * LPS) for p in at]) * LPS


@oracle("ants", ".mat", "write", "antspyx")
def ants_matrix_written(folder):
    ants = pytest.importorskip("ants")
    write_transform(AFFINE, folder / "t.mat", dialect="ants")
    at = points(FIXED)
    return error_mm(by_ants(ants, folder / "t.mat", at), AFFINE.map_points(at))


@oracle("ants", ".mat", "read", "antspyx")
def ants_matrix_read(folder):
    ants = pytest.importorskip("ants")
    theirs = ants.create_ants_transform(
        transform_type="AffineTransform",
        matrix=AFFINE.matrix[:3, :3],
        translation=(1.0, -2.0, 3.0),
        center=(11.0, -7.0, 5.0),
    )
    ants.write_transform(theirs, str(folder / "t.mat"))
    at = points(FIXED)
    return error_mm(read_transform(folder / "t.mat").map_points(at), by_ants(ants, folder / "t.mat", at))


@oracle("ants", "list: warp, affine", "write", "antspyx", FIELD_MM)
def ants_list_written(folder):
    """The order of ``-t 1Warp -t 0GenericAffine``: points of the fixed scan go through the warp first."""
    ants, pandas = pytest.importorskip("ants"), pytest.importorskip("pandas")

    def error(fixed, _):
        write_transform(field(fixed), folder / "1Warp.nii.gz", dialect="ants")
        write_transform(AFFINE, folder / "0GenericAffine.mat", dialect="ants")
        names = [str(folder / "1Warp.nii.gz"), str(folder / "0GenericAffine.mat")]
        at = points(fixed)
        frame = pandas.DataFrame(at * LPS, columns=["x", "y", "z"])
        theirs = ants.apply_transforms_to_points(3, frame, names).to_numpy()[:, :3] * LPS
        return error_mm(chain(fixed).map_points(at), theirs)

    return worst(error)


# ---- FSL ---------------------------------------------------------------------------------------------------


def fsl_image(target):
    return pytest.importorskip("fsl.data.image").Image(image(target))


@oracle("fsl", "FLIRT .mat", "write", "fslpy")
def flirt_written(folder):
    flirt = pytest.importorskip("fsl.transform.flirt")

    def error(fixed, moving):
        write_transform(AFFINE, folder / "f.mat", dialect="fsl", fixed=fixed, moving=moving)
        read = flirt.readFlirt(str(folder / "f.mat"))
        back = flirt.fromFlirt(read, fsl_image(moving), fsl_image(fixed), "world", "world")
        return error_mm(mapped(np.linalg.inv(back), points(fixed)), AFFINE.map_points(points(fixed)))

    return worst(error)


@oracle("fsl", "FLIRT .mat", "read", "fslpy")
def flirt_read(folder):
    flirt = pytest.importorskip("fsl.transform.flirt")

    def error(fixed, moving):
        theirs = flirt.toFlirt(
            np.linalg.inv(AFFINE.matrix), fsl_image(moving), fsl_image(fixed), "world", "world"
        )
        flirt.writeFlirt(theirs, str(folder / "f.mat"))
        ours = read_transform(folder / "f.mat", dialect="fsl", fixed=fixed, moving=moving)
        return error_mm(ours.map_points(points(fixed)), AFFINE.map_points(points(fixed)))

    return worst(error)


@oracle("fsl", "FNIRT field", "write", "fslpy", FIELD_MM)
def fnirt_field_written(folder):
    fnirt = pytest.importorskip("fsl.transform.fnirt")

    def error(fixed, moving):
        write_transform(chain(fixed), folder / "w.nii.gz", dialect="fsl", fixed=fixed, moving=moving)
        theirs = fnirt.readFnirt(
            str(folder / "w.nii.gz"), fsl_image(moving), fsl_image(fixed), defType="relative"
        )
        at = voxels(fixed)
        return error_mm(theirs.transform(at, "world", "world"), chain(fixed).map_points(at))

    return worst(error)


@oracle("fsl", "FNIRT field", "read", "fslpy", FIELD_MM)
def fnirt_field_read(folder):
    fnirt = pytest.importorskip("fsl.transform.fnirt")
    nonlinear = pytest.importorskip("fsl.transform.nonlinear")

    def error(fixed, moving):
        write_transform(chain(fixed), folder / "w.nii.gz", dialect="fsl", fixed=fixed, moving=moving)
        theirs = fnirt.readFnirt(
            str(folder / "w.nii.gz"), fsl_image(moving), fsl_image(fixed), defType="relative"
        )
        absolute = nonlinear.convertDeformationType(theirs, "absolute").astype(np.float32)
        made = nibabel.Nifti1Image(absolute, theirs.nibImage.affine, theirs.nibImage.header)
        nibabel.save(made, folder / "absolute.nii.gz")
        at = voxels(fixed)
        expected = theirs.transform(at, "world", "world")
        return max(
            error_mm(read_transform(folder / name, moving=moving).map_points(at), expected)
            for name in ("w.nii.gz", "absolute.nii.gz")
        )

    return worst(error)


@oracle("fsl", "FNIRT coefficients", "read", "fslpy", FIELD_MM)
def fnirt_coefficients_read(folder):
    fnirt = pytest.importorskip("fsl.transform.fnirt")

    def error(fixed, moving):
        step = np.array([3.0, 2.0, 4.0])
        count = np.ceil((np.array(fixed.shape[::-1]) + 1) / step).astype(int) + 2
        made = nibabel.Nifti1Image(
            np.random.default_rng(6).normal(0, 2, (*count, 3)).astype(np.float32), None
        )
        for n, spacing in enumerate(fixed.spacing_mm[::-1], 1):
            made.header[f"intent_p{n}"] = spacing
        made.header["intent_code"] = 2007
        flirt = matrix(RIGID.matrix[:3, :3], (4.0, -3.0, 2.0))
        made.header.set_zooms([*step, 1])
        made.set_sform(flirt, 1)
        made.set_qform(matrix(np.diag(step), fixed.shape[::-1]), 1)
        made.header.set_zooms([*step, 1])
        nibabel.save(made, folder / "c.nii.gz")
        theirs = fnirt.readFnirt(str(folder / "c.nii.gz"), fsl_image(moving), fsl_image(fixed))
        at = voxels(fixed)
        ours = read_transform(folder / "c.nii.gz", fixed=fixed, moving=moving)
        return error_mm(ours.map_points(at), theirs.transform(at, "world", "world"))

    return worst(error)


# ---- FreeSurfer --------------------------------------------------------------------------------------------


@oracle("freesurfer", ".lta", "write", "surfa")
def lta_written(folder):
    surfa = pytest.importorskip("surfa")

    def error(fixed, moving):
        write_transform(AFFINE, folder / "t.lta", fixed=fixed, moving=moving)
        theirs = surfa.load_affine(str(folder / "t.lta"))
        assert theirs.space.name == "world"
        at = points(fixed)
        return error_mm(mapped(np.linalg.inv(theirs.matrix), at), AFFINE.map_points(at))

    return worst(error)


@oracle("freesurfer", ".lta type 0, 1, 3", "read", "surfa")
def lta_read(folder):
    surfa = pytest.importorskip("surfa")

    def error(fixed, moving):
        saved(fixed, folder / "fixed.nii.gz"), saved(moving, folder / "moving.nii.gz")
        source, target = (surfa.load_volume(str(folder / f"{n}.nii.gz")).geom for n in ("moving", "fixed"))
        theirs = surfa.Affine(np.linalg.inv(AFFINE.matrix), source=source, target=target, space="world")
        errors = []
        for space in ("world", "vox", "surf"):
            theirs.convert(space=space).save(str(folder / "t.lta"))
            at = points(fixed)
            errors.append(error_mm(read_transform(folder / "t.lta").map_points(at), AFFINE.map_points(at)))
        return max(errors)

    return worst(error)


@oracle("freesurfer", ".lta type 2, 14, 21", "read", "formulas of the wiki")
def lta_types_read(folder):
    def tkregister(target):
        spacing, size = np.array(target.spacing_mm[::-1]), np.array(target.shape[::-1])
        linear = np.array([[-spacing[0], 0, 0], [0, 0, spacing[2]], [0, -spacing[1], 0]])
        return matrix(linear, -linear @ (size / 2)) @ np.linalg.inv(target.affine[:, [2, 1, 0, 3]])

    def scaled(target):
        return np.diag([*target.spacing_mm[::-1], 1]) @ np.linalg.inv(target.affine[:, [2, 1, 0, 3]])

    def error(fixed, moving):
        write_transform(AFFINE, folder / "t.lta", fixed=fixed, moving=moving)
        lines, errors = (folder / "t.lta").read_text().splitlines(), []
        back = np.linalg.inv(AFFINE.matrix)
        for kind, frame in ((2, scaled), (21, tkregister), (14, tkregister)):
            stored = frame(fixed) @ back @ np.linalg.inv(frame(moving))
            stored = np.linalg.inv(stored) if kind == 14 else stored
            rows = [" ".join(f"{v:.15e}" for v in row) for row in stored]
            (folder / "t.lta").write_text("\n".join([f"type = {kind}", *lines[1:5], *rows, *lines[9:]]))
            at = points(fixed)
            errors.append(error_mm(read_transform(folder / "t.lta").map_points(at), AFFINE.map_points(at)))
        return max(errors)

    return worst(error)


@oracle("freesurfer", ".m3z", "read", "numpy, FreeSurfer's definition", FIELD_MM)
def m3z_read(folder):
    def error(fixed, moving):
        at = voxels(fixed)
        expected, errors = chain(fixed).map_points(at), []
        for kind in (1, 2):
            stored = expected if kind == 1 else moving.map_points(expected)[:, ::-1]
            (folder / "t.m3z").write_bytes(
                m3z(stored.reshape(*fixed.shape, 3).transpose(2, 1, 0, 3), fixed, moving, kind)
            )
            errors.append(error_mm(read_transform(folder / "t.m3z").map_points(at), expected))
        return max(errors)

    return worst(error)


# ---- SPM, NiftyReg -----------------------------------------------------------------------------------------


def positions(path):
    """Positions in a file of dim X Y Z 1 3, in the order of voxels of the array."""
    made = nibabel.load(path)
    return made, made.get_fdata()[:, :, :, 0].transpose(2, 1, 0, 3).reshape(-1, 3)


@oracle("spm", "y_*.nii", "write", "nibabel, SPM's definition", FIELD_MM)
def spm_written(folder):
    def error(fixed, _):
        write_transform(chain(fixed), folder / "y_t.nii", dialect="spm", fixed=fixed)
        made, found = positions(folder / "y_t.nii")
        assert made.header.get_intent() == ("vector", (), "Mapping")
        np.testing.assert_allclose(made.affine, fixed.affine[:, [2, 1, 0, 3]], atol=1e-4)
        return error_mm(found, chain(fixed).map_points(voxels(fixed)))

    return worst(error)


@oracle("spm", "y_*.nii", "read", "nibabel, SPM's definition", FIELD_MM)
def spm_read(folder):
    return positions_read(folder, "Mapping", 0)


@oracle("niftyreg", "deformation", "read", "nibabel, NiftyReg's definition", FIELD_MM)
def niftyreg_read(folder):
    return positions_read(folder, "NREG_TRANS", 0)


@oracle("niftyreg", "displacement", "read", "nibabel, NiftyReg's definition", FIELD_MM)
def niftyreg_displacement_read(folder):
    return positions_read(folder, "NREG_TRANS", 1)


def positions_read(folder, name, kind):
    def error(fixed, _):
        at = voxels(fixed)
        expected = chain(fixed).map_points(at)
        stored = expected - at if kind == 1 else expected
        data = stored.reshape(*fixed.shape, 3).transpose(2, 1, 0, 3)[:, :, :, None]
        made = nibabel.Nifti1Image(data.astype(np.float32), fixed.affine[:, [2, 1, 0, 3]])
        made.header.set_xyzt_units("mm")
        made.header["intent_code"], made.header["intent_name"], made.header["intent_p1"] = 1007, name, kind
        nibabel.save(made, folder / "y_t.nii.gz")
        return error_mm(read_transform(folder / "y_t.nii.gz").map_points(at), expected)

    return worst(error)


@oracle("niftyreg", "deformation", "write", "nibabel, NiftyReg's definition", FIELD_MM)
def niftyreg_written(folder):
    def error(fixed, _):
        write_transform(chain(fixed), folder / "t.nii.gz", dialect="niftyreg", fixed=fixed)
        made, found = positions(folder / "t.nii.gz")
        assert made.header.get_intent() == ("vector", (), "NREG_TRANS")
        return error_mm(found, chain(fixed).map_points(voxels(fixed)))

    return worst(error)


@oracle("niftyreg", "control points", "read", "scipy, cubic B-spline", FIELD_MM)
def niftyreg_spline_read(folder):
    spline = pytest.importorskip("scipy.interpolate").BSpline
    cubic = spline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)

    def error(fixed, _):
        affine = fixed.affine[:, [2, 1, 0, 3]] @ matrix(np.diag([3.0, 3.0, 3.0]), (-3.5, -3.5, -3.5))
        shape = (8, 8, 8)
        index = np.argwhere(np.ones(shape))
        rng = np.random.default_rng(7)
        stored = mapped(affine, index) + rng.normal(0, 2, (len(index), 3))
        made = nibabel.Nifti1Image(stored.reshape(*shape, 1, 3).astype(np.float32), affine)
        made.header.set_xyzt_units("mm")
        made.header["intent_code"], made.header["intent_name"], made.header["intent_p1"] = (
            1007,
            "NREG_TRANS",
            2,
        )
        nibabel.save(made, folder / "cpp.nii.gz")
        at = points(fixed)
        x = mapped(np.linalg.inv(affine), at)
        weights = np.nan_to_num(cubic(x[:, None] - index)).prod(axis=2)
        ours = read_transform(folder / "cpp.nii.gz", fixed=fixed).map_points(at)
        return error_mm(ours, weights @ stored)

    return worst(error)


@oracle("niftyreg", "reg_aladin .txt", "write", "numpy, NiftyReg's definition")
def aladin_written(folder):
    write_transform(AFFINE, folder / "a.txt", dialect="niftyreg")
    at = points(FIXED)
    return error_mm(mapped(np.loadtxt(folder / "a.txt"), at), AFFINE.map_points(at))


@oracle("niftyreg", "reg_aladin .txt", "read", "numpy, NiftyReg's definition")
def aladin_read(folder):
    np.savetxt(folder / "a.txt", AFFINE.matrix)
    at = points(FIXED)
    return error_mm(
        read_transform(folder / "a.txt", dialect="niftyreg").map_points(at), AFFINE.map_points(at)
    )


# ---- AFNI, elastix, MINC, X5 -------------------------------------------------------------------------------


@oracle("afni", ".1D, oblique scans", "write", "nitransforms")
def afni_written(folder):
    afni = pytest.importorskip("nitransforms.io.afni")

    def error(fixed, moving):
        write_transform(AFFINE, folder / "a.aff12.1D", fixed=fixed, moving=moving)
        theirs = afni.AFNILinearTransform.from_string((folder / "a.aff12.1D").read_text())
        ras = theirs.to_ras(moving=image(moving), reference=image(fixed))
        return error_mm(mapped(ras, points(fixed)), AFFINE.map_points(points(fixed)))

    return worst(error)


@oracle("afni", ".1D, oblique scans", "read", "nitransforms")
def afni_read(folder):
    afni = pytest.importorskip("nitransforms.io.afni")

    def error(fixed, moving):
        theirs = afni.AFNILinearTransform.from_ras(
            AFFINE.matrix, moving=image(moving), reference=image(fixed)
        )
        rows = theirs.structarr["parameters"][:3]
        (folder / "a.1D").write_text("\n".join(" ".join(repr(float(v)) for v in row) for row in rows) + "\n")
        ours = read_transform(folder / "a.1D", fixed=fixed, moving=moving)
        return error_mm(ours.map_points(points(fixed)), AFFINE.map_points(points(fixed)))

    return worst(error)


@oracle("afni", ".1D", "write", "nitransforms")
def afni_straight_written(folder):
    afni = pytest.importorskip("nitransforms.io.afni")
    write_transform(AFFINE, folder / "a.aff12.1D")
    ras = afni.AFNILinearTransform.from_string((folder / "a.aff12.1D").read_text()).to_ras()
    return error_mm(mapped(ras, points(FIXED)), AFFINE.map_points(points(FIXED)))


def by_transformix(itk, path, at, folder):
    """Points mapped by transformix, which writes them as text with six digits."""
    (folder / "points.txt").write_text(
        f"point\n{len(at)}\n" + "\n".join(" ".join(map(repr, map(float, p * LPS))) for p in at)
    )
    parameters = itk.ParameterObject.New()
    parameters.ReadParameterFile(str(path))
    blank = itk.GetImageFromArray(np.zeros((4, 4, 4), np.float32))
    itk.transformix_filter(
        blank, parameters, fixed_point_set_file_name=str(folder / "points.txt"), output_directory=str(folder)
    )
    lines = (folder / "outputpoints.txt").read_text().splitlines()
    found = [line.split("OutputPoint = [")[1].split("]")[0].split() for line in lines]
    return np.array(found, float) * LPS


def elastix(kind, parameters, extra="", initial="NoInitialTransform", target=FIXED):
    affine = np.diag([-1, -1, 1, 1]) @ target.affine[:, [2, 1, 0, 3]]
    spacing = np.array(target.spacing_mm[::-1])
    words = lambda values: " ".join(repr(float(v)) for v in np.ravel(values))  # noqa: E731
    return f"""(Transform "{kind}")
(NumberOfParameters {len(parameters)})
(TransformParameters {words(parameters)})
(InitialTransformParametersFileName "{initial}")
(InitialTransformParameterFileName "{initial}")
(UseBinaryFormatForTransformationParameters "false")
(HowToCombineTransforms "Compose")
(FixedImageDimension 3)
(MovingImageDimension 3)
(FixedInternalImagePixelType "float")
(MovingInternalImagePixelType "float")
(Size {" ".join(map(str, target.shape[::-1]))})
(Index 0 0 0)
(Spacing {words(spacing)})
(Origin {words(affine[:3, 3])})
(Direction {words((affine[:3, :3] / spacing).T)})
(UseDirectionCosines "true")
{extra}
(ResampleInterpolator "FinalBSplineInterpolator")
(FinalBSplineInterpolationOrder 3)
(Resampler "DefaultResampler")
(DefaultPixelValue 0)
(ResultImageFormat "nii")
(ResultImagePixelType "float")
(CompressResultImage "false")
"""


def elastix_files(folder, target=FIXED):
    """One file of each kind, the last a chain; and points inside."""
    centre = "(CenterOfRotationPoint 11.0 -7.0 5.0)"
    rng = np.random.default_rng(2)
    direction = " ".join(map(repr, np.ravel(np.reshape(AFFINE_DIRECTION, (3, 3)).T).tolist()))
    size = (9, 8, 10)
    step = np.array([9.0, 8.0, 11.0])
    middle = target.centre_mm * LPS
    origin = middle - np.reshape(AFFINE_DIRECTION, (3, 3)) @ (step * (np.array(size) - 1) / 2)
    spline = f"""(GridSize {size[0]} {size[1]} {size[2]})
(GridIndex 0 0 0)
(GridSpacing {" ".join(map(repr, step.tolist()))})
(GridOrigin {" ".join(map(repr, origin.tolist()))})
(GridDirection {direction})
(BSplineTransformSplineOrder 3)
(UseCyclicTransform "false")"""
    affine = [*(AFFINE.matrix[:3, :3] * 0.1 + np.eye(3) * 0.9).ravel(), 1.0, -2.0, 1.0]
    files = {
        "euler.txt": elastix("EulerTransform", [0.1, -0.2, 0.3, 4, 5, -6], centre + '\n(ComputeZYX "false")'),
        "zyx.txt": elastix("EulerTransform", [0.1, -0.2, 0.3, 4, 5, -6], centre + '\n(ComputeZYX "true")'),
        "similarity.txt": elastix("SimilarityTransform", [0.1, -0.2, 0.1, 1, 2, 3, 1.2], centre),
        "affine.txt": elastix("AffineTransform", affine, centre),
        "shift.txt": elastix("TranslationTransform", [1.0, -2.0, 3.0]),
        "chain.txt": elastix(
            "BSplineTransform", rng.normal(0, 2, 3 * np.prod(size)), spline, str(folder / "affine.txt")
        ),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return files, points(target)


@oracle("elastix", "Euler, similarity, affine, shift", "read", "itk-elastix")
def elastix_read(folder):
    itk = pytest.importorskip("itk")
    files, at = elastix_files(folder)
    return max(
        error_mm(read_transform(folder / name).map_points(at), by_transformix(itk, folder / name, at, folder))
        for name in files
        if name != "chain.txt"
    )


@oracle("elastix", "B-spline after affine", "read", "itk-elastix", FIELD_MM)
def elastix_chain_read(folder):
    itk = pytest.importorskip("itk")
    _, at = elastix_files(folder)
    theirs = by_transformix(itk, folder / "chain.txt", at, folder)
    return error_mm(read_transform(folder / "chain.txt").map_points(at), theirs)


@oracle("elastix", "Euler, affine", "write", "itk-elastix")
def elastix_written(folder):
    itk, errors, at = pytest.importorskip("itk"), [], points(FIXED)
    for ours in (AFFINE, RIGID):
        write_transform(ours, folder / "t.txt", dialect="elastix", fixed=FIXED)
        errors.append(error_mm(by_transformix(itk, folder / "t.txt", at, folder), ours.map_points(at)))
    return max(errors)


@oracle("minc", ".xfm", "write", "numpy, MINC's definition")
def minc_written(folder):
    write_transform(AFFINE, folder / "t.xfm")
    text = (folder / "t.xfm").read_text().split("Linear_Transform =")[1].rstrip(";\n")
    back = np.vstack([np.array(text.split(), float).reshape(3, 4), [0, 0, 0, 1]])
    at = points(FIXED)
    return error_mm(mapped(np.linalg.inv(back), at), AFFINE.map_points(at))


@oracle("minc", ".xfm chain, inverted part", "read", "numpy, MINC's definition")
def minc_read(folder):
    def entry(values, flag=""):
        rows = "\n".join(" ".join(f"{v:.17g}" for v in row) for row in values[:3])
        return f"Transform_Type = Linear;\n{flag}Linear_Transform =\n{rows};\n"

    first, second = np.linalg.inv(AFFINE.matrix), RIGID.matrix
    text = (
        "MNI Transform File\n%a comment\n\n"
        + entry(first)
        + entry(np.linalg.inv(second), "Invert_Flag = True;\n")
    )
    (folder / "t.xfm").write_text(text)
    at = points(FIXED)
    return error_mm(
        read_transform(folder / "t.xfm").map_points(at), mapped(np.linalg.inv(second @ first), at)
    )


@oracle("x5", ".x5 chain", "write", "nitransforms", FIELD_MM)
def x5_written(folder):
    x5 = pytest.importorskip("nitransforms.io.x5")

    def error(fixed, _):
        write_transform(chain(fixed), folder / "t.x5")
        first, second = x5.from_filename(folder / "t.x5")
        np.testing.assert_allclose(first.domain.mapping, fixed.affine[:, [2, 1, 0, 3]])
        u = first.transform.transpose(2, 1, 0, 3).reshape(-1, 3)
        at = voxels(fixed)
        return error_mm(mapped(second.transform, at + u), chain(fixed).map_points(at))

    return worst(error)


@oracle("x5", ".x5 chain", "read", "nitransforms", FIELD_MM)
def x5_read(folder):
    x5 = pytest.importorskip("nitransforms.io.x5")

    def error(fixed, _):
        domain = x5.X5Domain(True, fixed.shape[::-1], fixed.affine[:, [2, 1, 0, 3]], "cartesian")
        u = field(fixed).displacement_mm.transpose(3, 2, 1, 0)
        kinds = ("space", "space", "space", "vector")
        first = x5.X5Transform("nonlinear", u, "densefield", "displacements", None, kinds, domain)
        second = x5.X5Transform("linear", AFFINE.matrix, "affine", dimension_kinds=kinds)
        x5.to_filename(folder / "t.x5", [first, second])
        at = voxels(fixed)
        return error_mm(read_transform(folder / "t.x5").map_points(at), chain(fixed).map_points(at))

    return worst(error)
