"""docs/errors.md lists every code, with the class and the words of its errors."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from fixtures.raised import HOLE, raised

spec = spec_from_file_location("write_errors", Path(__file__).with_name("write_errors.py"))
write_errors = module_from_spec(spec)
spec.loader.exec_module(write_errors)


def test_the_page_of_error_codes_is_current():
    assert write_errors.PAGE.read_text() == write_errors.page(), "run: make pages"


def test_every_code_has_a_class_and_a_sentence():
    assert not [
        code for code, (classes, sentences) in write_errors.rows().items() if not (classes and sentences)
    ]


def test_every_message_says_what_to_do():
    complete = {
        "The progress callback cancelled the registration.",  # as requested
        HOLE,  # a list of whole messages
    }
    errors = raised(*(write_errors.ROOT / package for package in write_errors.PACKAGES))
    assert not [e for e in errors if not (e.message in complete or write_errors.advises(e.message))]


def test_an_error_of_something_else_is_no_advice():
    assert write_errors.advises("Memory is short. Close programs.")
    assert write_errors.advises("The file is damaged. …")  # looked up in a table
    assert write_errors.advises("threads must be 1 or more; found …")
    assert not write_errors.advises("… cannot be imported: ….")
    assert not write_errors.advises("The output depends on the input.")


def test_sentences_end_outside_of_parentheses_and_keep_their_values():
    first = write_errors.first_sentence
    assert first("There is no 'a' (there are: b, c). Choose one.") == "There is no 'a' (there are: b, c)"
    assert first("There is no file ….… Check the path.") == "There is no file …"
    assert first("…: … … differ; found 2.5 mm") == "…: … differ"


def test_errors_are_followed_through_the_functions_that_make_them(tmp_path):
    (tmp_path / "checks.py").write_text(
        'CODE = "MMREG_E_A"\n'
        'ADVICE = {"MMREG_E_D": "Stop.", "MMREG_E_E": "Go."}\n'
        "def number(value, code=CODE):\n"
        '    raise InputError(code, f"A number; found {value}.")\n'
        "def _refusal(path, fault) -> InputError:\n"
        '    return InputError("MMREG_E_B", f"{path} {fault}.")\n'
        "def read(path, tag):\n"
        "    number(path)\n"
        "    if tag in ADVICE:\n"
        '        raise BundleError(tag, f"Refused. {ADVICE[tag]}")\n'
        '    raise _refusal(path, "is long" if path else "is short")\n'
    )
    (tmp_path / "use.py").write_text(
        'from .checks import number\ndef use(x):\n    number(x, "MMREG_E_C")\n    number(2, code=x)\n'
    )
    assert {error[:3] for error in raised(tmp_path)} == {
        ("MMREG_E_A", "InputError", "A number; found …."),
        ("MMREG_E_B", "InputError", "… is long."),
        ("MMREG_E_B", "InputError", "… is short."),
        ("MMREG_E_C", "InputError", "A number; found …."),
        ("MMREG_E_D", "BundleError", "Refused. …"),
        ("MMREG_E_E", "BundleError", "Refused. …"),
    }
