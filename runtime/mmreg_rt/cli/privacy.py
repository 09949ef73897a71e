"""Folders of people's files, which may name a patient, a user or a project, kept out of what is written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..text.printable import printable

# an absolute path without spaces that nobody gave, such as one of a cache; of an address (https://) nothing
_ABSOLUTE = re.compile(r"(?<![\w/:.~-])(?:/[^\s/'\"`:;,()]+)+/([^\s/'\"`:;,()]+)")


class Names:
    """Puts names in the place of paths.

    Args:
        paths: As they were given; their absolute and resolved forms are known by them.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        known: dict[str, str] = {}
        for path in paths:
            name = path.name or "here"
            for form in (str(path), os.path.abspath(path), os.path.realpath(path)):
                known |= {form: name, os.path.dirname(form) + os.sep: ""}
        here = os.getcwd() + os.sep
        known |= {here: "", str(Path.home()) + os.sep: ""}
        known |= {printable(form): name for form, name in known.items()}
        known |= {repr(form)[1:-1]: name for form, name in known.items()}
        self._known = {form: name for form, name in known.items() if os.sep in form and form.strip(os.sep)}
        longest = sorted(map(re.escape, self._known), key=len, reverse=True)
        self._path = re.compile(rf"(?<![\w/.~-])(?:{'|'.join(longest)})") if longest else None

    def text(self, text: str) -> str:
        """``text`` without folders."""
        if self._path is not None:
            text = self._path.sub(lambda found: self._known[found[0]], text)
        return _ABSOLUTE.sub(r"\1", text)

    def all(self, value: Any) -> Any:
        """The same for every text in nested lists and dictionaries."""
        if isinstance(value, Mapping):
            return {key: self.all(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.all(item) for item in value]
        return self.text(value) if isinstance(value, str) else value
