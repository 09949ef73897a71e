"""``mmreg log``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from ..text.printable import printable
from .options import FILE, json_option
from .terminal import print_json, print_result

FORMAT = "mmreg-log/1"


@click.group()
def log() -> None:
    """Check the decision log of a device, which Registrar(decision_log=...) writes in Python."""


@log.command()
@click.argument("path", type=FILE)
@json_option
def verify(path: Path, as_json: bool) -> None:
    """Check the chain of the decision log PATH, and print the hash of its last line.

    Lines that were cut off at the end leave no trace in the file: compare the hash with one kept elsewhere.
    """
    from ..decisions import check_log

    done = check_log(path)
    if as_json:
        print_json({"format": FORMAT, "status": "ok", **dataclasses.asdict(done)})
        return
    partial = f", {done.partial_lines} of them not written to the end" if done.partial_lines else ""
    print_result(
        printable(f"{path}: {done.lines} lines{partial}; the chain holds")
        + f"\nLast line  {done.last_sha256}"
    )
