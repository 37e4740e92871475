from tests.support.archive_home import clock, deliver, dock, home
from tests.support.schema import database

__all__ = ["clock", "database", "deliver", "dock", "home"]
