"""The group ``mmreg``: finds a command, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from ..process import libraries
from ..text.printable import printable
from . import signals, terminal
from .exit_codes import INTERRUPTED, CommandError, failure, help_text

COMMANDS = {
    "register": "Register a moving scan to a fixed one.",
    "warp": "Warp an image or labels, or map points.",
    "series": "Measure and undo the motion in a series of frames.",
    "convert": "Convert a transform between the formats of programs.",
    "evaluate": "Score a transform: overlap, surface distance, landmark error, folding.",
    "inspect": "Describe an image, a transform or a list of points.",
    "benchmark": "Time a network stage by stage on this machine.",
    "compile": "Build the TensorRT engines of a network before they are needed.",
    "deploy": "Write a network as a folder that a device loads, or check one.",
    "log": "Check the decision log of a device.",
    "doctor": "Report which CPU targets and backends work here, and why others do not.",
    "demo": "Register a generated head whose true transform is known.",
    "train": "Train a method on your scans or on generated ones.",
    "export": "Package a trained network as a bundle.",
}
FUNCTIONS = {"compile": "compile_"}  # the plain name is a built-in of Python
# commands of other packages in the distribution; their heavy libraries are an extra of the same name
HOOKS = {"train": "mmreg_train.cli", "export": "mmreg_export.cli"}


class Group(click.Group):
    """Commands by name, each in a module of that name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """List the commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module."""
        if name not in COMMANDS:
            return None
        if name not in HOOKS:
            libraries.prefer_one_thread()
        libraries.check()
        command: click.Command = getattr(
            import_module(HOOKS.get(name, f"{__package__}.{name}")), FUNCTIONS.get(name, name)
        )
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **options: Any) -> Any:
        """Run as a program: with usable streams, and with signals that end it in order."""
        terminal.prepare()
        with signals.listening() as state:
            try:
                return super().main(*args, **options)
            except SystemExit as end:
                if end.code == 1 and state.received is not None:  # before a command had begun
                    raise SystemExit(128 + state.received) from None
                raise

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; turn an error into one line, unless ``--debug`` is given."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = printable(error.message)  # type: ignore[misc]
            if ctx.meta.get("json") and not isinstance(error, CommandError):
                reason = failure("MMREG_E_USAGE", type(error).__name__, error.message)
                terminal.print_message(terminal.as_json(reason))
            raise
        except (click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt as interrupt:
            ctx.exit(getattr(interrupt, "exit_code", INTERRUPTED))
        except Exception as error:
            if ctx.params["debug"]:
                raise
            raise CommandError(error, bool(ctx.meta.get("json"))) from error


@click.group(cls=Group, epilog=help_text(), context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, envvar="MMREG_DEBUG", help="Show the traceback of an error.")
@click.version_option(package_name="mmreg-rt", prog_name="mmreg")
def main(debug: bool) -> None:  # noqa: ARG001  read from the context
    """Register medical scans across modalities.

    Start with `mmreg demo -o demo`, then `mmreg register FIXED MOVING -o OUT` and open OUT/report.html.
    """
