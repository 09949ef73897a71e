"""docs/errors.md lists every code that is raised."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def test_the_page_of_error_codes_is_current():
    spec = spec_from_file_location("write_errors", Path(__file__).with_name("write_errors.py"))
    write_errors = module_from_spec(spec)
    spec.loader.exec_module(write_errors)
    assert write_errors.PAGE.read_text() == write_errors.page(), "run: python tests/runtime/write_errors.py"
