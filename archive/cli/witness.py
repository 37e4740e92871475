"""The log's witnesses: `liuhen log request` and `cosign` for the archive, `liuhen log witness` for a witness.

A witness needs nothing of an archive: not its home, not its database, not its settings.
"""

import json
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archive.cli.options import AsJson, Home, opened, subcommands
from archive.kernel.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from archive.ledger.witness import Witness

_MOST_BYTES = 1 << 20
WitnessHome = Annotated[Path, typer.Option("--home", help="Folder of the witness.")]
_HOME = Path("liuhen-witness")


def register(app: typer.Typer) -> None:
    """Add the commands about witnesses."""
    log = subcommands(app, "log", help_text="The transparency log.")
    log.command("request")(request)
    log.command("cosign")(cosign)
    witness = typer.Typer(help="A witness: cosigns the checkpoints of logs that only grow.", no_args_is_help=True)
    witness.command("init")(init)
    witness.command("add-log")(add_log)
    witness.command("show")(show)
    witness.command("sign")(sign)
    witness.command("serve")(serve)
    log.add_typer(witness, name="witness")


def request(
    file: Annotated[Path, typer.Argument(help="Where to write the request.")],
    witness: Annotated[
        str | None, typer.Option(help="Name of the witness in the policy; needed if it has several.")
    ] = None,
    old: Annotated[int | None, typer.Option(min=0, help="Size that the witness has cosigned last.")] = None,
    home: Home = None,
) -> None:
    """Write a request to cosign the newest checkpoint, for a witness without a network."""
    from archive.ledger.cosigning import request_for

    with opened(home) as services, services.database.read() as tx:
        made = request_for(tx, services.policy, name=witness, old_size=old)
    file.write_bytes(made.to_bytes())
    print(f"{file}: checkpoint of {made.checkpoint.size} entries, from {made.old_size} on")


def cosign(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The cosigned checkpoint.")],
    home: Home = None,
) -> None:
    """Bring the answer of `liuhen log witness sign` back into the archive."""
    from archive.ledger.cosigning import import_cosigned

    raw = _small(file)
    with opened(home) as services, services.database.begin() as tx:
        size, added = import_cosigned(
            tx, raw, logs=services.trust.logs, policy=services.policy, at=services.clock.now()
        )
    print(f"Checkpoint of {size} entries: {added} new cosignature{'' if added == 1 else 's'}")


def init(
    name: Annotated[str, typer.Argument(help="Name of the witness, as an address without https://.")],
    home: WitnessHome = _HOME,
) -> None:
    """Make a witness: two keys and a memory of its own."""
    from archive.kernel.clock import SystemClock
    from archive.ledger.witness import create_witness

    _print_keys(create_witness(home, name=name, clock=SystemClock()))


def add_log(
    trust: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Trust file of the archive.")],
    home: WitnessHome = _HOME,
) -> None:
    """Follow the logs of a trust file from now on."""
    from archive.ledger.trustfile import TrustFile

    logs = TrustFile.parse(_small(trust)).logs
    witness = _opened(home)
    for key in logs:
        witness.store.add_log(key)
    for origin in sorted({key.name for key in logs}):
        print(f"follows {origin}")


def show(home: WitnessHome = _HOME, as_json: AsJson = False) -> None:
    """Show keys, and how far each log was cosigned."""
    witness = _opened(home)
    followed = witness.store.followed()
    if as_json:
        logs = [{"origin": log.origin, "size": log.seen.size, "time": log.time_s} for log in followed]
        print(json.dumps({"keys": [str(key) for key in witness.keys], "logs": logs}, ensure_ascii=False))
        return
    _print_keys(witness)
    for log in followed:
        print(f"{log.origin}: {log.seen.size} entries")


def sign(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The request.")],
    output: Annotated[Path | None, typer.Option(help="Where to write; else FILE.cosigned.")] = None,
    home: WitnessHome = _HOME,
) -> None:
    """Answer a request that came as a file; the answer goes back to `liuhen log cosign`."""
    from archive.ledger.cosigning import cosigned
    from archive.ledger.witnessing import AddCheckpoint

    asked = AddCheckpoint.parse(_small(file))
    lines = _opened(home).cosign(asked)
    target = output or file.with_name(file.name + ".cosigned")
    target.write_bytes(cosigned(asked.note.to_bytes(), lines))
    print(f"{target}: checkpoint of {asked.checkpoint.size} entries, cosigned")


def serve(
    home: WitnessHome = _HOME,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 8444,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate (PEM); without it plain HTTP.")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key of the certificate (PEM).")] = None,
) -> None:
    """Answer requests over HTTP until stopped; the address is printed once it listens."""
    from archive.cli.logs import configure_logging
    from archive.web.witness import serve_witness

    if (certificate is None) != (key is None):
        raise InvalidInput("A certificate and its key go together")
    configure_logging()
    try:
        serve_witness(_opened(home), host=host, port=port, certificate=certificate, key=key, on_listening=_announce)
    except ssl.SSLError as exc:
        raise NotFound("The certificate or its key cannot be used", certificate=str(certificate)) from exc


def _announce(address: str) -> None:
    print(f"The witness listens on {address}", flush=True)


def _opened(home: Path) -> "Witness":
    from archive.kernel.clock import SystemClock
    from archive.ledger.witness import open_witness

    return open_witness(home, clock=SystemClock())


def _print_keys(witness: "Witness") -> None:
    print("Keys for policies, one of them for each line `witness <name> <key>`:")
    for key in witness.keys:
        print(f"  {key}")


def _small(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES)
