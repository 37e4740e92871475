"""Closing volumes: what is kept, who signed it, what stops it, what comes after, and what a crash leaves."""

import pytest

from archive.volumes.rules import VolumeKind
from archive.volumes.standing import case_file
from tests.support.archive_home import ArchiveHome, clock, home
from tests.support.case_files import CaseFileScene, complete_case

__all__ = ["clock", "home"]


@pytest.fixture
def scene(home: ArchiveHome) -> CaseFileScene:
    return complete_case(home)


def test_try(scene: CaseFileScene) -> None:
    import time
    t=time.time()
    v = scene.close()
    print(time.time()-t)
    scene.home.sequence()
    for f in (scene.home.path/"store").rglob("*.pdf"):
        if f.name in ("cover.pdf","catalogue.pdf","remarks.pdf"):
            open("/tmp/vol-"+f.name,"wb").write(f.read_bytes())
    scene.home.assert_sound()
