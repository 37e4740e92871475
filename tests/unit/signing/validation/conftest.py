"""One world of officers and authorities, and a document that one of them signed, for all tests of judging."""

import pytest

from tests.support import pdf_bytes
from tests.support.signed_pdfs import World


@pytest.fixture(scope="session")
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def plain() -> bytes:
    return pdf_bytes.plain()


@pytest.fixture(scope="session")
def signed(world: World, plain: bytes) -> bytes:
    return world.sign(plain)
