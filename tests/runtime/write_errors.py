"""Write docs/errors.md from the places that raise errors: python tests/runtime/write_errors.py"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors.md"
SOURCES = ("runtime/mmreg_rt", "train/mmreg_train", "export/mmreg_export", "cpp_ext")
HEAD = """# Error codes

Every error of this package has a stable code, the same in Python (`error.code`), in JSON and in C++. A code
never changes its meaning. The messages say what was requested, what was found and what to do; here is the
first sentence of those that are written out where they are raised, with … for values. [Exit
codes](exit_codes.md) follow from the class.

| code | class | message |
| --- | --- | --- |
"""


def text_of(node: ast.expr | None) -> str:
    """Return a message with ... for its values; empty if it is not written out where it is raised."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
        return re.sub("…+", "…", "".join(str(part) for part in parts))
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return ""


def first_sentence(message: str) -> str:
    sentence = re.split(r"(?<=[.;:])\s", message.replace("\n", " ").replace("|", "\\|"), maxsplit=1)[0]
    return sentence.rstrip(".;:")


def raised() -> dict[str, tuple[set[str], set[str]]]:
    """Return classes and messages by code."""
    codes: dict[str, tuple[set[str], set[str]]] = {}
    for path in (p for source in SOURCES for p in sorted((ROOT / source).rglob("*"))):
        if path.suffix in (".h", ".cpp", ".cu") and "tests" not in path.parts:
            for code in re.findall(r'"(MMREG_E_[A-Z0-9_]+)"', path.read_text()):
                codes.setdefault(code, (set(), set()))
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and re.fullmatch(r"MMREG_E_[A-Z0-9_]+", str(node.value)):
                codes.setdefault(str(node.value), (set(), set()))
            if not isinstance(node, ast.Call) or not node.args:
                continue
            code = text_of(node.args[0])
            if not re.fullmatch(r"MMREG_E_[A-Z0-9_]+", code):
                continue
            classes, messages = codes.setdefault(code, (set(), set()))
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name.endswith("Error"):
                classes.add(name)
            message = first_sentence(text_of(node.args[1] if len(node.args) > 1 else None))
            if message:
                messages.add(message)
    return codes


def page() -> str:
    rows = []
    for code, (classes, messages) in sorted(raised().items()):
        names = ", ".join(f"`{name}`" for name in sorted(classes))
        rows.append(f"| `{code}` | {names} | {'<br>'.join(sorted(messages))} |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
