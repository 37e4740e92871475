import pytest

pytest.register_assert_rewrite("tests.support.archive_home")

from tests.support.archive_home import clock, deliver, dock, home  # noqa: E402

__all__ = ["clock", "deliver", "dock", "home"]
