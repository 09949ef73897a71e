"""The list of bad inputs is whole, and its page is current."""

from bad_inputs.declared import CASES
from bad_inputs.write_table import TABLE, table

NUMBERS = {*range(1, 60), *range(70, 89)}  # files, geometry, intensity, transforms, bundles


def test_every_number_has_a_test():
    table()
    assert set(CASES) == NUMBERS


def test_the_page_is_current():
    assert TABLE.read_text() == table(), "run: make pages"
