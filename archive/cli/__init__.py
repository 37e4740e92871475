"""`liuhen`: the command line, one module per audience. Errors end in one line that says what to do."""

import sys

from archive.cli.main import run


def main() -> None:
    """Run the command line; the exit code is the error's own."""
    sys.exit(run(sys.argv[1:]))
