from tests.support.archive_home import clock
from tests.support.moulds import moulds

__all__ = ["clock", "moulds"]
