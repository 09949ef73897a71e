"""Exit codes have one table, which the help and the documentation show."""

from pathlib import Path

import pytest
from fixtures.shell import run

from mmreg_rt import errors
from mmreg_rt.cli.exit_codes import BUG, EXITS, exit_code_for, page

PAGE = Path(__file__).parents[2] / "docs" / "exit_codes.md"
KINDS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.MmregError)]


def test_the_page_is_current():
    new = "python -c \"from mmreg_rt.cli.exit_codes import page; print(page(), end='')\" > docs/exit_codes.md"
    assert PAGE.read_text() == page(), f"run {new}"


def test_the_help_shows_every_code_with_its_meaning():
    text = run("--help").output
    for code, exit_ in EXITS.items():
        assert f"  {code:<4} {exit_.meaning}" in text


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not errors.MmregError])
def test_every_kind_of_error_has_an_exit_code(kind):
    code = exit_code_for(kind("MMREG_E_ANY", "something"))
    assert code in EXITS
    assert code != BUG


def test_a_diverged_training_is_not_a_result_of_low_confidence():
    codes = {
        exit_code_for(kind("MMREG_E_ANY", "x")) for kind in (errors.TrainingError, errors.RegistrationError)
    }
    assert codes == {8, 7}
