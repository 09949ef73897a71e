"""The names that the package offers, and what they load."""

import dataclasses
import subprocess
import sys

import mmreg_rt
from mmreg_rt.options import OptionKeywords, RegistrarOptions

PUBLIC = [
    "Affine",
    "BackendUnavailableError",
    "Bundle",
    "BundleError",
    "CancelledError",
    "Composite",
    "DecisionLogError",
    "DeviceError",
    "DisplacementField",
    "Folding",
    "GeometryError",
    "Grid",
    "InputError",
    "IntensityError",
    "MmregError",
    "OutOfMemoryError",
    "OutsideWarning",
    "Plan",
    "PlanResult",
    "Quality",
    "Registrar",
    "RegistrarOptions",
    "Registration",
    "RegistrationError",
    "Rigid",
    "Session",
    "TrainingError",
    "Transform",
    "TransformError",
    "Volume",
    "get_cmake_dir",
    "get_include",
    "get_library",
    "get_pkgconfig_dir",
    "open_bundle",
    "read_image",
    "read_points",
    "read_transform",
    "write_image",
    "write_points",
    "write_transform",
]
HEAVY = {"torch", "onnxruntime", "openvino", "nibabel", "scipy", "click", "mmreg_train", "mmreg_export"}


def test_the_public_names_are_these():
    assert mmreg_rt.__all__ == PUBLIC == sorted(PUBLIC)


def test_every_public_name_is_there_and_is_documented():
    for name in PUBLIC:
        assert getattr(mmreg_rt, name).__doc__, name


def test_geometry_transforms_and_files_load_nothing_heavy_until_a_file_is_written():
    names = "mmreg_rt.geometry, mmreg_rt.transform, mmreg_rt.io.nifti, mmreg_rt.io.field, mmreg_rt.io.itk"
    code = f"import sys, {names}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not HEAVY & set(loaded.split())


def test_the_keywords_of_a_registrar_are_the_fields_of_its_options():
    fields = [field.name for field in dataclasses.fields(RegistrarOptions)]
    assert list(OptionKeywords.__annotations__) == fields
