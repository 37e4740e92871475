from tests.support.schema import database

__all__ = ["database"]
