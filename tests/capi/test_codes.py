"""The error codes and statuses of the C library are those of the Python package."""

from capi.write_codes import codes, generated, statuses

from mmreg_rt import errors


def test_the_generated_files_are_current():
    stale = [path.name for path, text in generated().items() if not path.exists() or path.read_text() != text]
    assert not stale, "run `make pages`"


def test_each_status_means_one_class():
    values = [status for status, _ in statuses().values()]
    assert len(set(values)) == len(values)
    assert max(values) < 0


def test_each_code_has_a_status():
    assert set(codes().values()) <= set(statuses())
    assert codes()["MMREG_E_NO_OVERLAP"] == errors.GeometryError.__name__
