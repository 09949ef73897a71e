"""Write the error codes of the C library from the errors of the Python package.

PYTHONPATH=tests python -m capi.write_codes
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from mmreg_rt import errors

ROOT = Path(__file__).parents[2]
CAPI = ROOT / "cpp_ext" / "capi"
HEADER = CAPI / "include" / "mmreg.h"
BEGIN = "  /* generated from the errors of the Python package by `make pages` */\n"
END = "  /* end of the generated part */\n"
INTERNAL = "MmregError"
# Errors that only a C host can meet, with their status and what they say.
ONLY_IN_C = {
    "BusyError": (-20, "Another call uses the object."),
    "HungError": (-21, "An engine did not return; the session is dead."),
    INTERNAL: (-99, "A bug in mmreg."),
}
CODES_ONLY_IN_C = {
    "MMREG_E_BUSY": "BusyError",
    "MMREG_E_DEPLOYMENT_CPU": "BackendUnavailableError",
    "MMREG_E_DEPLOYMENT_ENGINE_VERSION": "BackendUnavailableError",
    "MMREG_E_DEPLOYMENT_FILE_HASH": "BundleError",
    "MMREG_E_DEPLOYMENT_FILE_LINK": "BundleError",
    "MMREG_E_DEPLOYMENT_FILE_MISSING": "BundleError",
    "MMREG_E_DEPLOYMENT_FILE_SIZE": "BundleError",
    "MMREG_E_DEPLOYMENT_FILE_UNDECLARED": "BundleError",
    "MMREG_E_DEPLOYMENT_FORMAT": "BundleError",
    "MMREG_E_DEPLOYMENT_GOLDEN": "BundleError",
    "MMREG_E_DEPLOYMENT_GRID": "GeometryError",
    "MMREG_E_DEPLOYMENT_KEY_MISSING": "BundleError",
    "MMREG_E_DEPLOYMENT_KEY_TWICE": "BundleError",
    "MMREG_E_DEPLOYMENT_KEY_UNKNOWN": "BundleError",
    "MMREG_E_DEPLOYMENT_LINE": "BundleError",
    "MMREG_E_DEPLOYMENT_MISSING": "BundleError",
    "MMREG_E_DEPLOYMENT_SIGNATURE": "BundleError",
    "MMREG_E_DEPLOYMENT_SIGNATURE_MISSING": "BundleError",
    "MMREG_E_DEPLOYMENT_TOO_LARGE": "BundleError",
    "MMREG_E_DEPLOYMENT_VALUE": "BundleError",
    "MMREG_E_ENGINE_LIBRARY": "BackendUnavailableError",
    "MMREG_E_ENGINE_LOAD": "BundleError",
    "MMREG_E_ENGINE_NOT_BUILT": "BackendUnavailableError",
    "MMREG_E_ENGINE_RUN": "RegistrationError",
    "MMREG_E_HUNG": "HungError",
    "MMREG_E_INTERNAL": INTERNAL,
    "MMREG_E_NO_FIXED": "InputError",
    "MMREG_E_NO_RESULT": "InputError",
    "MMREG_E_OUTPUT_SIZE": "InputError",
    "MMREG_E_SESSION_GRID": "InputError",
    "MMREG_E_STRUCT_SIZE": "InputError",
    "MMREG_E_TARGET": "BackendUnavailableError",
}
REFUSED = re.compile(r'"(MMREG_E_\w+)"')


def constant(kind: str) -> str:
    """Return the constant of mmreg.h for a class of errors: MMREG_GEOMETRY_ERROR for GeometryError."""
    if kind == INTERNAL:
        return "MMREG_INTERNAL_ERROR"
    return "MMREG_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).upper()


def statuses() -> dict[str, tuple[int, str]]:
    """Return the status and the meaning of each class of errors that the C library can return."""
    found = {
        kind.__name__: (kind.status, (kind.__doc__ or "").splitlines()[0])
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.MmregError) and "status" in vars(kind)
    }
    return dict(sorted((found | ONLY_IN_C).items(), key=lambda entry: -entry[1][0]))


def codes() -> dict[str, str]:
    """Return the class of each code that the C library throws, which is that of the Python package."""
    path = ROOT / "tests" / "runtime" / "write_errors.py"
    spec = importlib.util.spec_from_file_location("write_errors", path)
    assert spec
    assert spec.loader
    write_errors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(write_errors)
    rows = write_errors.rows()
    text = "".join(path.read_text() for path in sorted(CAPI.rglob("*.cpp")))
    found = {}
    for code in sorted(set(REFUSED.findall(text)) | set(write_errors.WHAT_TO_DO)):
        classes = {CODES_ONLY_IN_C[code]} if code in CODES_ONLY_IN_C else rows.get(code, ((), ()))[0]
        found[code] = most_special(code, {name for name in classes if name in statuses()})
    return found


def most_special(code: str, classes: set[str]) -> str:
    """Return the class of which the others are bases."""
    kinds = {name: getattr(errors, name, object) for name in classes}
    special = [name for name, kind in kinds.items() if all(issubclass(kind, base) for base in kinds.values())]
    assert len(special) == 1, f"{code} must have one class of errors in Python; found {sorted(classes)}"
    return special[0]


def enumerators() -> str:
    """Return the part of mmreg.h that is generated."""
    rows = [f"  {constant(kind)} = {status}" for kind, (status, _) in statuses().items()]
    return ",\n".join(rows) + "\n"


def generated() -> dict[Path, str]:
    """Return the contents of the generated files."""
    header = HEADER.read_text()
    before, rest = header.split(BEGIN)
    _, after = rest.split(END)
    table = [f'{{"{code}", {constant(kind)}}},\n' for code, kind in codes().items()]
    texts = [f'case {constant(kind)}: return "{text}";\n' for kind, (_, text) in statuses().items()]
    remarks = [
        'case MMREG_OK: return "Complete.";\n',
        'case MMREG_DEGRADED: return "Cut short by the deadline.";\n',
    ]
    return {
        HEADER: before + BEGIN + enumerators() + END + after,
        CAPI / "codes.inc": "".join(table),
        CAPI / "status_texts.inc": "".join(remarks + texts),
    }


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text)
