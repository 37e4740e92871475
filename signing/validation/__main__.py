"""`python -m signing.validation FILE [REQUEST]`: read a file from outside, write a canonical JSON verdict.

For the sandbox: `FILE` is the PDF or the container, `REQUEST` (default `-`, the standard input) the JSON request of
`signing.validation.requests`. Ends with 0 when there is a verdict, 64 for a request that is wrong, else as it died.
"""

import sys
from pathlib import Path

from archive.kernel.errors import LiuhenError
from signing.validation.requests import MOST_REQUEST_BYTES, answer


def main(arguments: list[str]) -> int:
    """Judge one file; return the exit code."""
    if len(arguments) not in {1, 2}:
        sys.stderr.write("usage: python -m signing.validation FILE [REQUEST]\n")
        return 64
    request = arguments[1] if len(arguments) == 2 else "-"
    try:
        if request == "-":
            raw = sys.stdin.buffer.read(MOST_REQUEST_BYTES + 1)
        else:
            with Path(request).open("rb") as file:
                raw = file.read(MOST_REQUEST_BYTES + 1)
        with Path(arguments[0]).open("rb") as source:
            told = answer(source, raw)
    except (LiuhenError, OSError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 64
    sys.stdout.buffer.write(told)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
