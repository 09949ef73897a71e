"""What tests of commands share: a registrar that knows the answer, and reports that are quick to draw."""

import sys
from functools import partial

import pytest
from fixtures import pretend

from mmreg_rt.report import panels
from mmreg_rt.report.planes import planes


@pytest.fixture
def registrar(monkeypatch):
    """Give commands the stand-in; call it to give them another one. Reports are tested elsewhere."""
    monkeypatch.setattr(panels, "planes", partial(planes, across_px=16))

    def install(**options):
        module = pretend.registrar_module(**options)
        monkeypatch.setitem(sys.modules, "mmreg_rt.registrar", module)
        return module.Registrar

    install()
    return install
