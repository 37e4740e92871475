"""Case packages as they leave a real archive: real footage and a text record, witnessed, exported by the real builder.

A `RealArchive` has the doors of `tests.support.packages.House`, so that what is done to packages made by hand is done
to these too; another one with the same content is what a forger makes.
"""

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from archive.cases.records import file_text_record
from archive.cases.terms import RecordForm
from archive.jobs.queue import LONG, PROMPT
from archive.ledger.entries import OPERATOR
from archive.ledger.mirror import mirror
from archive.ledger.trustfile import TrustFile
from archive.packages.building import Packager, build_package
from archive.worker.loop import Worker
from tests.support import footage, packages
from tests.support.archive_home import ArchiveHome, make_home
from tests.support.deployment import new_database
from tests.support.packages import TSA, NoteKey, OpenSslTsa
from tests.support.witness import WitnessProcess, witnessing

NUMBER = "昆市监罚〔2026〕1号"
NAMES = ("执法现场 100%.mp4", "大厅.mp4", "门头照片.jpg")


class RealArchive:
    """One archive with one case in it. `witness` runs as long as packages are wanted of a log that has grown."""

    def __init__(self, base: Path, database_url: str, witness: WitnessProcess) -> None:
        self.base = base
        policy = base / "policy.txt"
        policy.write_text(witness.policy())
        self.home: ArchiveHome = make_home(
            base,
            database_url,
            witness_policy=policy,
            witness_networks=("127.0.0.0/8",),
            proxy_720="never",
            proxy_540="never",
        )
        witness.follow(TrustFile.parse(self.trust()))
        self._fill()
        self.settle()

    def _fill(self) -> None:
        """Take in two recordings and a photo, have their playable copies made, and file a text record."""
        home, dock = self.home, self.home.dock()
        self.case_id = home.case(NUMBER)
        with tempfile.TemporaryDirectory(dir=self.base) as scratch:
            one, two, photo = (Path(scratch) / name for name in ("one.mp4", "two.mp4", "photo.jpg"))
            footage.make_clip(one, seconds=2)
            footage.make_clip(two, seconds=1, audio=())
            footage.still(photo)
            for name, path in zip(NAMES, (one, two, photo), strict=True):
                home.deliver(dock, path.read_bytes(), name, case=NUMBER)
            record = footage.make_pdf(Path(scratch) / "record.pdf", ["Record of inspection", "Seen and signed."])
            file_text_record(
                home.database, home.services.objects, home.services.signer, case_id=self.case_id,
                form=RecordForm.OTHER, title="现场检查笔录", name="笔录.pdf", pdf=record.read_bytes(), by=OPERATOR,
                at=home.clock.now(),
            )  # fmt: skip
        worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=60)
        while worker.run_once([PROMPT, LONG]):
            pass

    def settle(self) -> None:
        """Sequence what is written and have it witnessed."""
        self.home.sequence()
        self.home.services.cosign_rounds.require_agreement()
        self.home.services.anchors.anchor()

    # -- the doors of a House --

    def package(self, to: Path) -> Path:
        """Export the case to the folder `to`, with renditions."""
        build_package(self.packager, self.case_id, to, with_renditions=True, by=OPERATOR, purpose="移送检察院")
        return to

    def trust(self) -> bytes:
        """Return what the archive publishes for outsiders."""
        return (self.home.path / "trust.txt").read_bytes()

    def mirror(self, folder: Path) -> Path:
        """Copy the log as an auditor does."""
        mirror(self.home.services.published, folder)
        return folder

    def sign(self, content: bytes) -> bytes:
        """Sign as the archive does."""
        return self.home.services.signer.sign_detached(content)

    def stamp(self, content: bytes) -> bytes:
        """Return a token over `content`."""
        assert self.packager.timestamp is not None
        return self.packager.timestamp(hashlib.sha256(content).digest())

    def seal(self, to: Path) -> None:
        """Make a bag of the files in `to` with this archive's keys."""
        packages.seal(to, sign=self.sign, stamp=self.stamp)

    @property
    def log(self) -> NoteKey:
        """The Ed25519 key of the log."""
        private = load_pem_private_key((self.home.path / "keys" / "log.pem").read_bytes(), None)
        return NoteKey(self.home.settings.origin, private)  # type: ignore[arg-type]

    @property
    def root(self) -> Path:
        """The root certificate, as it is published."""
        return self.home.path / "ca" / "root.cert.pem"

    @cached_property
    def packager(self) -> Packager:
        """The archive's own; where it has no timestamp authority, one under its root that is the program openssl."""
        wired = self.home.services.packager
        if wired.timestamp is not None:
            return wired
        authority, key = self.home.services.authority, ec.generate_private_key(ec.SECP256R1())
        certificate = authority.issue(TSA, public_key=key.public_key(), valid_from=authority.root.not_valid_before_utc)
        (self.base / "tsa").mkdir()
        return dataclasses.replace(wired, timestamp=OpenSslTsa(self.base / "tsa", certificate, key).token)


def entry_types(package: Path) -> list[str]:
    """Return the types of the entries in a package."""
    return [json.loads(path.read_bytes())["type"] for path in (package / "proofs" / "entries").iterdir()]


@contextmanager
def real_archive(base: Path, database_url: str | None = None) -> Iterator[RealArchive]:
    """Make a real archive in a folder, on SQLite unless an address is given, and close it at the end."""
    base.mkdir(parents=True, exist_ok=True)
    url = database_url or new_database(base / "archive.sqlite3")
    with witnessing(base / "witness") as witness:
        made = RealArchive(base, url, witness)
        try:
            yield made
        finally:
            made.home.services.close()
