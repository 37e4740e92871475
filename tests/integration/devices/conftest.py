from tests.integration.complaints.conftest import Office, office
from tests.support.archive_home import clock, deliver, dock, home

__all__ = ["Office", "clock", "deliver", "dock", "home", "office"]
