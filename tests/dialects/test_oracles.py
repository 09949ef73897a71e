"""Every dialect maps points as its owner does; the page of the table is current."""

import pytest
from dialects.write_table import ALL, TABLE, rows


@pytest.mark.parametrize("oracle", ALL, ids=lambda oracle: oracle.name)
def test_points_lie_where_the_owner_of_the_format_has_them(oracle, tmp_path):
    assert oracle.error(tmp_path) <= oracle.limit_mm


def test_the_page_lists_every_format_with_its_error():
    """Errors on the page were measured once; on other machines they differ within the limits above."""
    listed = [line.split(" | ") for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    assert [(line[0], line[1], line[2], line[4]) for line in listed] == [
        (row[0], row[1], row[2], row[4]) for row in (row.split(" | ") for row in rows(lambda _: ""))
    ], "run: make pages"
