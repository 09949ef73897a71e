"""Every code that a test of a number asks for is one that it declares, or the table would lie."""

import inspect
import re

import pytest


@pytest.fixture(autouse=True)
def declared_codes(request):
    codes = getattr(request.function, "codes", None)
    if codes is not None:
        asked = set(re.findall(r"MMREG_E_\w+", inspect.getsource(request.function)))
        parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
        asked |= {v for v in parameters.values() if isinstance(v, str) and v.startswith("MMREG_E_")}
        assert asked <= set(codes), f"{asked - set(codes)} is not declared"
    return codes
