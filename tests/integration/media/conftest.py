"""The tools, and sample footage that is made once for each test process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.media.tools import Toolbox, open_toolbox
from tests.support import footage

type_samples = Callable[[str], Path]


@pytest.fixture(scope="session")
def toolbox() -> Toolbox:
    """The installed ffmpeg, in a sandbox that is required."""
    return open_toolbox()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> type_samples:
    """Give the sample of a name, made at the first call."""
    folder = tmp_path_factory.mktemp("samples")
    return lambda name: footage.make_sample(name, folder)
