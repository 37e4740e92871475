"""Filing a record at once when its last signature is there, so that who signed sees it filed."""

from archive.kernel.errors import LiuhenError
from archive.kernel.ids import DraftId
from archive.wiring import Services


def file_complete(services: Services, draft_id: DraftId) -> bool:
    """File a complete record; return False where that cannot be done now and its job does it.

    Raises: what `file_record` raises that trying again does not mend.
    """
    try:
        services.records.file_record(draft_id)
    except LiuhenError as exc:
        if not exc.retryable:
            raise
        return False
    return True
