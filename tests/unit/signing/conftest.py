"""One authority for all tests of signing that do not change it."""

from pathlib import Path

import pytest

from signing.authority import EmbeddedAuthority
from signing.cades import CadesSigner
from tests.unit.signing import pki


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedAuthority:
    directory: Path = tmp_path_factory.mktemp("authority") / "ca"
    return EmbeddedAuthority.create(directory, organisation="昆明市某局", valid_from=pki.START)


@pytest.fixture(scope="session")
def signer(authority: EmbeddedAuthority) -> CadesSigner:
    return CadesSigner(
        key=authority.manifest_key(), certificate=authority.manifest_certificate, clock=pki.StandingClock()
    )


@pytest.fixture(scope="session")
def signature(signer: CadesSigner) -> bytes:
    return signer.sign_detached(pki.MANIFEST)
