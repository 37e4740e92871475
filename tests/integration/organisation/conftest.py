from tests.support.archive_home import clock, deliver, dock, home

__all__ = ["clock", "deliver", "dock", "home"]
