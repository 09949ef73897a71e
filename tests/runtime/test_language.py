"""The language of what users read: docstrings of public names, and the words that the glossary replaced."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("runtime/mmreg_rt", "train/mmreg_train", "export/mmreg_export")
# Words that stood for something only their author knew; docs/glossary.md has the terms of the field.
PRIVATE = re.compile(r"\b(told|mend|mended|mends|asked was|of a same)\b", re.IGNORECASE)
OPENINGS = ("Of ", "That of", "What ", "Whether ", "The same of", "As of", "Who ")
TEXT = (".py", ".md", ".h", ".cpp", ".cu")


def public_docstrings(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, ast.get_docstring(node) or ""


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_do_not_begin_with_a_fragment(package):
    wrong = [
        f"{path.relative_to(ROOT)}: {name}: {text.splitlines()[0]}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name, text in public_docstrings(path)
        if text.startswith(OPENINGS)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", [*PACKAGES, "cpp_ext", "docs", "README.md", "CONTRIBUTING.md"])
def test_words_that_the_glossary_replaced_are_gone(folder):
    place = ROOT / folder
    paths = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.suffix in TEXT)
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in paths
        if "third_party" not in path.parts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if PRIVATE.search(line)
    ]
    assert not wrong, "\n".join(wrong)
