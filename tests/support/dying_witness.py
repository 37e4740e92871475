"""A witness that dies by kill -9 when it is about to sign: after it has persisted, before it answers."""

import os
import signal
import sys
from pathlib import Path

from archive.kernel.clock import SystemClock
from archive.ledger.keykinds import ED25519_COSIGNATURE
from archive.ledger.note import Signer
from archive.ledger.witness import Witness, open_witness
from archive.web.witness import serve_witness


class DyingKey:
    """A key whose first signature is the end of the process."""

    def __init__(self, public_bytes: bytes) -> None:
        self.public_bytes = public_bytes

    def sign(self, message: bytes) -> bytes:
        del message
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def main() -> None:
    home, port = Path(sys.argv[2]), int(sys.argv[4])
    real = open_witness(home, clock=SystemClock())
    key = real.keys[0]
    dying = Witness(real.store, [Signer(key.name, DyingKey(key.public_bytes), ED25519_COSIGNATURE)], SystemClock())
    serve_witness(
        dying, host="127.0.0.1", port=port, on_listening=lambda address: print(f"listens on {address}", flush=True)
    )


if __name__ == "__main__":
    main()
