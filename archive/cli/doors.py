"""For operators: the archive's own doors, for browsers and for Axis body-worn systems (on the server)."""

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from archive.cli.options import Home, opened
from archive.kernel.errors import InvalidInput
from archive.ledger.entries import OPERATOR

if TYPE_CHECKING:
    from archive.wiring import Services

_AUTH_PATH: Final = "/axis/auth/v1.0"


def register(dock: typer.Typer) -> None:
    """Add the doors' commands to those of docks."""
    dock.command("axis-user")(axis_user)
    dock.command("axis-waiting")(axis_waiting)
    dock.command("reopen-browser")(reopen_browser)


def axis_user(
    name: Annotated[str, typer.Argument(help="User name of the body-worn system: letters, digits and . _ : @ -")],
    home: Home = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Give an existing system a new key; the old one ends now.")
    ] = False,
    connection_file: Annotated[
        Path | None, typer.Option(help="Write the file that is imported into the body-worn manager (holds the key).")
    ] = None,
    address: Annotated[
        list[str] | None, typer.Option(help="Address of this archive for the system: https://host:port; repeatable.")
    ] = None,
    container_type: Annotated[str, typer.Option(help="Format of the clips: mkv or mp4.")] = "mp4",
) -> None:
    """Let an Axis body-worn system send recordings here; its key is shown once."""
    from ingest.axis.systems import enrol_system, renew_system_key
    from signing.keyfiles import PRIVATE, write_once

    if connection_file is not None and not address:
        raise InvalidInput("The connection file needs the archive's --address")
    if container_type not in {"mkv", "mp4"}:
        raise InvalidInput("Clips come as mkv or mp4")
    with opened(home) as services:
        make = renew_system_key if renew else enrol_system
        dock_id, key = make(services.doors, name=name, by=OPERATOR)
        if connection_file is not None:
            told = _connection(services, name, key, address or [], container_type)
            write_once(connection_file, json.dumps(told, indent=2, ensure_ascii=False).encode(), mode=PRIVATE)
    print(f"Axis system {name} is dock {dock_id}.")
    print(f"  BlobAPIUserName  {name}")
    if connection_file is None:
        print(f"  BlobAPIKey       {key}   (shown once)")
    else:
        print(f"  The connection file {connection_file} holds its key: import it, then delete it.")
    print(f"  AuthenticationTokenURI  <https://this archive>{_AUTH_PATH}")


def axis_waiting(home: Home = None) -> None:
    """List the recordings that Axis systems are transferring and have not said to be whole."""
    from ingest.agent.printable import printable
    from ingest.axis.listings import waiting_recordings

    with opened(home) as services, services.database.read() as tx:
        print(f"{'last change (UTC)':19}  {'objects':>7}  {'bytes':>15}  {'state':12}  system / recording")
        for row in waiting_recordings(tx):
            name = printable(f"{row.system} / {row.name}")
            print(f"{row.changed_at:%F %T}  {row.object_count:7}  {row.size_bytes:15,}  {row.state:12}  {name}")


def reopen_browser(home: Home = None) -> None:
    """Give the door for uploads in the browser a new key, also when it was revoked."""
    with opened(home) as services:
        dock_id = services.doors.open_anew(by=OPERATOR)
    print(f"Uploads in the browser come in through dock {dock_id} from now on.")


def _connection(services: "Services", name: str, key: str, addresses: list[str], container_type: str) -> dict[str, Any]:
    """Return the connection file. Source: Axis body worn content destination API, Connection API."""
    is_tls = all(address.startswith("https://") for address in addresses)
    told: dict[str, Any] = {
        "ConnectionFileVersion": "1.0",
        "SiteName": services.settings.organisation[:64],
        "ApplicationName": "Liuhen",
        "ApplicationVersion": "1",
        "ContentDestinationAsNTPServer": False,
        "AuthenticationTokenURI": [address.rstrip("/") + _AUTH_PATH for address in addresses],
        "BlobAPIKey": key,
        "BlobAPIUserName": name,
        "ContainerType": container_type,
        "FullStoreAndReadSupport": False,
        "WantEncryption": False,
    }
    if is_tls:
        told["HTTPSCertificate"] = [base64.b64encode(services.authority.root_pem).decode()]
    return told
