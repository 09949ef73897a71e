"""``mmreg`` itself: finds a command, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from ..process import libraries
from ..text.printable import printable
from . import signals, terminal
from .exit_codes import INTERRUPTED, Refusal

COMMANDS = {
    "register": "Bring a moving scan onto a fixed one.",
    "warp": "Take an image, labels or points through a transform.",
    "evaluate": "Overlap, surface distance, landmark error, folding.",
    "inspect": "Say in words what a file is.",
    "benchmark": "Time a network stage by stage on this machine.",
    "compile": "Build a network's TensorRT engines before they are needed.",
    "doctor": "Say what runs on this machine, and what does not and why.",
    "demo": "Register a generated head whose truth is known.",
    "train": "Train a method on your scans, or on generated ones.",
    "export": "Make a bundle of a trained method.",
}
FUNCTIONS = {"compile": "compile_"}  # whose own name Python has taken
# commands that another package of the distribution brings; its heavy libraries are an extra of the same name
HOOKS = {"train": "mmreg_train.cli", "export": "mmreg_export.cli"}

EXITS = """\b
Exit codes:
  0    done; the verdict is pass or review
  1    a bug in mmreg (--debug shows where)
  2    the command line is wrong
  3    an input or a path cannot be used
  4    the model cannot be used
  5    the device, CPU target or extra asked for is not there
  6    deadline reached: the best finished stage is written
  7    low confidence: the verdict is fail, or there is no result
  130  interrupted; by SIGTERM 143, by SIGHUP 129"""


class Group(click.Group):
    """Commands by name, each in a module of that name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order in which they are needed, not the alphabet's."""
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
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **options: Any) -> Any:
        """Run as a program: with streams that can be written to, and signals that end it in order."""
        terminal.prepare()
        with signals.listening() as heard:
            try:
                return super().main(*args, **options)
            except SystemExit as end:
                if end.code == 1 and heard.received is not None:  # before a command had begun
                    raise SystemExit(128 + heard.received) from None
                raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it refuses or fails at leaves as one line, unless ``--debug``."""
        try:
            return super().invoke(ctx)
        except click.ClickException as refusal:
            refusal.message = printable(refusal.message)  # type: ignore[misc]
            raise
        except (click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt as interrupt:
            ctx.exit(getattr(interrupt, "exit_code", INTERRUPTED))
        except Exception as error:
            if ctx.params["debug"]:
                raise
            raise Refusal(error, bool(ctx.meta.get("json"))) from error


@click.group(cls=Group, epilog=EXITS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, envvar="MMREG_DEBUG", help="Show the whole traceback of an error.")
@click.version_option(package_name="mmreg-rt", prog_name="mmreg")
def main(debug: bool) -> None:  # noqa: ARG001  read from the context
    """Register two medical scans of different modality: two scans in, one transform out.

    Start with `mmreg demo -o demo`, then `mmreg register FIXED MOVING -o OUT` and open OUT/report.html.
    """
