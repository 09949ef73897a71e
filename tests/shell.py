"""Commands as a shell starts them, within this process."""

from click.testing import CliRunner

from mmreg_rt.cli import main


def run(*words, code=0):
    """Run a command given as one line, as a list or as words, and return what it printed and how it ended."""
    if len(words) == 1:
        words = words[0].split() if isinstance(words[0], str) else words[0]
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def output_of(line, code=0):
    """Run a command that is to end so, and return what it printed; what it raises, where it is to succeed."""
    done = CliRunner().invoke(main, ["--debug", *line.split()] if code == 0 else line.split())
    if code == 0 and done.exception:
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output
