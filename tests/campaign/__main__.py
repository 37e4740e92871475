"""`python -m tests.campaign NAME [ARGUMENTS]`: run one campaign."""

import importlib
import sys
from pathlib import Path

_HERE = Path(__file__).parent


def main(arguments: list[str]) -> int:
    """Run the campaign that is named first; return its exit code, 0 only if all held."""
    known = sorted(path.parent.name for path in _HERE.glob("*/campaign.py"))
    if not arguments or arguments[0] not in known:
        print(f"usage: python -m tests.campaign {'|'.join(known)} [ARGUMENTS]", file=sys.stderr)
        return 64
    campaign = importlib.import_module(f"tests.campaign.{arguments[0]}.campaign")
    return int(campaign.main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
