"""The examples of the documentation strings run as they stand."""

import doctest
from importlib import import_module

import numpy as np
import pytest

import mmreg_rt

MODULES = ("geometry.grid", "geometry.volume", "io", "metrics", "transform.transform", "transform.warping")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"np": np, **{public: getattr(mmreg_rt, public) for public in mmreg_rt.__all__}}
    result = doctest.testmod(import_module(f"mmreg_rt.{name}"), extraglobs=names)
    assert result.attempted
    assert not result.failed
