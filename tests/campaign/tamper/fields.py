"""Which field of a DER file a byte stands in: what survivors in signature containers are listed by."""

import subprocess
from pathlib import Path


def field_of(path: Path, byte: int) -> str:
    """Return the innermost element around a byte, as `openssl asn1parse` names it."""
    told = subprocess.run(
        ["openssl", "asn1parse", "-inform", "DER", "-in", path], check=True, capture_output=True, text=True
    ).stdout
    found = "beyond the end"
    for line in told.splitlines():
        offset, _, rest = line.partition(":d=")
        if int(offset) > byte:
            break
        depth, _, rest = rest.partition("hl=")
        found = f"depth {depth.strip()}, {rest.partition(': ')[2].strip()[:60]}"
    return found
