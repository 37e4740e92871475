from tests.support.archive_home import clock, deliver, dock, home
from tests.support.moulds import moulds

__all__ = ["clock", "deliver", "dock", "home", "moulds"]
