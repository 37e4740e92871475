"""What can go wrong at the Axis door; each cause says whether trying again helps."""

from archive.kernel.errors import Conflict, Forbidden, InvalidInput, LiuhenError, NotFound


class AxisRefused(LiuhenError):
    """The user, key or token is unknown, expired or revoked; ask for a token again."""

    code = "axis.refused"
    exit_code = 77


class ContainerNotFound(NotFound):
    """There is no such container of this system."""

    code = "axis.container_not_found"


class TransferNotFound(NotFound):
    """There is no such object in this container."""

    code = "axis.object_not_found"


class WriteOnly(Forbidden):
    """This door takes recordings in; it shows and deletes none."""

    code = "axis.write_only"


class RecordingComplete(Conflict):
    """The recording is complete; nothing can be added to it or changed."""

    code = "axis.recording_complete"


class RecordingClosing(LiuhenError):
    """The recording is being taken in; ask again in a moment."""

    code = "axis.recording_closing"
    exit_code = 75
    retryable = True


class TooManyTransfers(LiuhenError):
    """Too many transfers at once; try again soon."""

    code = "axis.busy"
    exit_code = 75
    retryable = True


class EtagMismatch(InvalidInput):
    """The bytes that arrived are not those of the ETag; they were dropped, send them again."""

    code = "axis.etag_mismatch"
    exit_code = 65


class ObjectQuarantined(LiuhenError):
    """An object changed between its transfer and the recording's end; it is in quarantine. Keep the recording."""

    code = "axis.object_quarantined"
    exit_code = 65


class SystemNameTaken(Conflict):
    """There is a system with this user name; renew its key, or revoke it."""

    code = "axis.name_taken"


class SystemNotFound(NotFound):
    """There is no such system, or it is revoked."""

    code = "axis.system_not_found"
