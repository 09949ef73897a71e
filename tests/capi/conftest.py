"""The installations of the C library, each made once."""

import functools

import pytest
from fixtures import c_library


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """Return an installation by the name of its layout; skip if it is not there."""
    return functools.cache(lambda layout: c_library.install(layout, tmp_path_factory.mktemp(layout)))


@pytest.fixture(scope="session")
def any_installation(installed):
    """One installation, where it does not matter which."""
    return installed("wheel" if c_library.has_wheel() else "prefix")
