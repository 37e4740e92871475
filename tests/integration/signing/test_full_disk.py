"""A full disk: an error that may be retried, and nothing half-made left behind."""

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from archive.kernel.errors import StorageFull
from signing.authority import EmbeddedAuthority
from signing.ed25519 import Ed25519KeyHandle
from signing.revocation import crl
from signing.tsa import EmbeddedTsa
from tests.unit.signing.pki import START, StandingClock


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this process may not mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> None:
    free = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_bsize))


def test_a_key_that_does_not_fit(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(StorageFull) as caught:
        Ed25519KeyHandle.generate(small_disk / "log.key.pem")
    assert caught.value.retryable
    assert [entry.name for entry in small_disk.iterdir()] == ["filler"]
    (small_disk / "filler").unlink()
    Ed25519KeyHandle.generate(small_disk / "log.key.pem")


def test_an_authority_that_does_not_fit(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(StorageFull):
        EmbeddedAuthority.create(small_disk / "ca", organisation="Bureau", valid_from=START)
    assert [entry.name for entry in small_disk.iterdir()] == ["filler"]
    (small_disk / "filler").unlink()
    EmbeddedAuthority.create(small_disk / "ca", organisation="Bureau", valid_from=START)


def test_a_renewal_that_does_not_fit(small_disk: Path) -> None:
    authority = EmbeddedAuthority.create(small_disk / "ca", organisation="Bureau", valid_from=START)
    before = authority.tls_path.read_bytes()
    fill(small_disk)
    with pytest.raises(StorageFull):
        authority.renew_tls_if_due(START + timedelta(days=390))
    assert authority.tls_path.read_bytes() == before
    assert len(list(authority.directory.iterdir())) == 5
    (small_disk / "filler").unlink()
    assert authority.renew_tls_if_due(START + timedelta(days=390))


def test_a_mount_point_cannot_become_the_directory(small_disk: Path) -> None:
    with pytest.raises(OSError, match="busy"):
        EmbeddedAuthority.create(small_disk, organisation="Bureau", valid_from=START)
    assert list(small_disk.iterdir()) == []
    assert [entry.name for entry in small_disk.parent.iterdir()] == ["disk"]


def test_a_token_that_cannot_be_noted_down(small_disk: Path) -> None:
    authority = EmbeddedAuthority.create(small_disk / "ca", organisation="Bureau", valid_from=START)
    tsa = EmbeddedTsa(authority, StandingClock())
    tsa.token(bytes(32))
    state = (authority.directory / "tsa.state").read_bytes()
    fill(small_disk)
    with pytest.raises(StorageFull):
        tsa.token(bytes(32))
    assert (authority.directory / "tsa.state").read_bytes() == state
    (small_disk / "filler").unlink()
    tsa.token(bytes(32))
    assert (authority.directory / "tsa.state").read_bytes() != state


def test_a_revocation_list_that_does_not_fit(small_disk: Path) -> None:
    clock = StandingClock()
    authority = EmbeddedAuthority.create(small_disk / "ca", organisation="Bureau", valid_from=START)
    before = crl(authority, clock)
    clock.at += timedelta(days=25)
    fill(small_disk)
    with pytest.raises(StorageFull):
        crl(authority, clock)
    assert (authority.directory / "root.crl").read_bytes() == before
    (small_disk / "filler").unlink()
    assert crl(authority, clock) != before
