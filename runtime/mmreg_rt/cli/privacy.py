"""Removal of folder names, which may name a patient, a user or a project, from everything that is written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..text.json_values import Json
from ..text.printable import printable

# other absolute paths without spaces, such as those of a cache; never part of an address (https://)
_ABSOLUTE = re.compile(r"(?<![\w/:.~-])(?:/[^\s/'\"`:;,()]+)+/([^\s/'\"`:;,()]+)")


class PathRedactor:
    """Replaces paths by file names.

    Args:
        paths: Paths of the user; their absolute and resolved forms are replaced too.
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
        """Return ``text`` without folders."""
        if self._path is not None:
            text = self._path.sub(lambda match: self._known[match[0]], text)
        return _ABSOLUTE.sub(r"\1", text)

    def nested(self, value: Json) -> Json:
        """Remove folders from every string in nested lists and dictionaries."""
        if isinstance(value, Mapping):
            return {key: self.nested(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.nested(item) for item in value]
        return self.text(value) if isinstance(value, str) else value
