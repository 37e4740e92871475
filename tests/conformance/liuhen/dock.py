"""A dock for foreign clients: they bring the bytes and the protocol, this brings the manifest.

As hooks of the tus suite, which runs in a process of its own, `metadata` and `read_back` find the dock in the folder
that LIUHEN_CONFORMANCE names.
"""

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.kernel.clock import SystemClock
from archive.kernel.digests import digest_of
from archive.kernel.ids import DockId, ObjectId
from archive.ocfl.root import OcflRoot
from archive.settings import Settings
from archive.wiring.stores import open_stores
from ingest.docks import enrol_dock
from ingest.manifest import build_manifest, sign_manifest
from ingest.models import Upload
from signing.ed25519 import Ed25519KeyHandle
from tests.support.server import Server

FOLDER = "LIUHEN_CONFORMANCE"


@dataclass(frozen=True)
class ForeignDock:
    """A dock whose client is not ours."""

    folder: Path

    @classmethod
    def enrolled(cls, server: Server, folder: Path) -> "ForeignDock":
        """Enrol a dock at the server and keep what it needs in a folder."""
        folder.mkdir(parents=True)
        key = Ed25519KeyHandle.generate(folder / "key.pem")
        enrolment = enrol_dock(
            server.database, code=server.invite(), public_key=key.public_bytes, at=SystemClock().now()
        )
        told = {"id": str(enrolment.dock_id), "key": enrolment.api_key}
        (folder / "dock.json").write_text(json.dumps(told))
        (folder / "settings.json").write_text(server.settings.model_dump_json(exclude_unset=True))
        return cls(folder)

    @property
    def told(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.folder / "dock.json").read_text())
        return found

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.told['key']}"}

    def metadata(self, content: bytes, name: str = "foreign.bin") -> dict[str, str]:
        """Return the metadata that the archive demands for these bytes, as the text values that clients take."""
        manifest = build_manifest(
            dock_id=DockId(UUID(self.told["id"])), name=name, digests=digest_of(content), times={}, device={}
        )
        key = Ed25519KeyHandle.load(self.folder / "key.pem")
        signature = base64.b64encode(sign_manifest(manifest, key))
        return {"manifest": manifest.decode(), "signature": signature.decode()}

    def stored(self, upload_url: str) -> bytes:
        """Return the original that an upload became, read from the store and not through the server."""
        settings = Settings.model_validate_json((self.folder / "settings.json").read_text())
        database = Database(settings.effective_database_url)
        upload_id = UUID(upload_url.rstrip("/").rpartition("/")[2])
        with database.read() as tx:
            row = tx.execute(
                select(PreservedObject)
                .join(Upload, Upload.object_id == PreservedObject.id)
                .where(Upload.id == upload_id)
            ).scalar_one()
        database.close()
        stores = open_stores(settings, SystemClock())
        with OcflRoot(stores.originals).open_file(ObjectId(row.id), row.content_path) as original:
            content = original.read()
        stores.close()
        return content


def metadata(content: bytes) -> str:
    """Hook of the tus suite: Upload-Metadata for given bytes."""
    pairs = ForeignDock(Path(os.environ[FOLDER])).metadata(content)
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in pairs.items())


def read_back(upload_url: str, _content: bytes) -> bytes:
    """Hook of the tus suite: what was stored for an upload."""
    return ForeignDock(Path(os.environ[FOLDER])).stored(upload_url)
