"""An authority and a signed manifest on disk, for programs that read files."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from signing.authority import EmbeddedAuthority
from signing.cades import CadesSigner
from tests.unit.signing import pki

Openssl = Callable[..., subprocess.CompletedProcess[bytes]]


@dataclass(frozen=True)
class Signed:
    """A manifest, its signature and the authority behind it."""

    authority: EmbeddedAuthority
    manifest: Path
    p7s: Path


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    directory = tmp_path_factory.mktemp("signed")
    authority = EmbeddedAuthority.create(
        directory / "ca",
        organisation="昆明市某局",
        valid_from=pki.START,
        host_names=["archive.example.org", "10.20.30.40"],
    )
    signer = CadesSigner(
        key=authority.manifest_key(), certificate=authority.manifest_certificate, clock=pki.StandingClock()
    )
    (directory / "manifest.json").write_bytes(pki.MANIFEST)
    (directory / "manifest.json.p7s").write_bytes(signer.sign_detached(pki.MANIFEST))
    return Signed(authority, directory / "manifest.json", directory / "manifest.json.p7s")


@pytest.fixture(scope="session")
def openssl() -> Openssl:
    """Run the system's openssl with these arguments and return what it did."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["openssl", *arguments], capture_output=True, check=False)

    return run
