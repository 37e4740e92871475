"""What can go wrong at a dock. What the archive itself answers keeps the archive's code (`Refused`)."""

from typing import Final

from archive.kernel.errors import Conflict, InvalidInput, LiuhenError, NotFound

PARTIAL: Final = 75
BAD_FILE: Final = 65
NO_ACCESS: Final = 77


class NotEnrolled(NotFound):
    """This dock is not enrolled; ask for a code (liuhen dock invite, on the server), then run liuhen dock enrol."""

    code = "dock.not_enrolled"


class AlreadyEnrolled(Conflict):
    """This state folder belongs to an enrolled dock; --replace gives it up for a new one, receipts stay."""

    code = "dock.already_enrolled"


class StateBroken(LiuhenError):
    """A file in the dock's state folder cannot be read; receipts are files of their own and are not touched."""

    code = "dock.state_broken"
    exit_code = 78


class PushRunning(LiuhenError):
    """Another push is using this state folder; wait until it has ended."""

    code = "dock.push_running"
    exit_code = PARTIAL
    retryable = True


class BadServer(InvalidInput):
    """The server is given as https://host[:port]; plain http only to this very machine."""

    code = "dock.bad_server"


class ServerUnreachable(LiuhenError):
    """The archive cannot be reached; nothing was sent."""

    code = "dock.server_unreachable"
    exit_code = 69
    retryable = True


class ConnectionBroken(LiuhenError):
    """The connection to the archive broke."""

    code = "dock.connection_broken"
    exit_code = PARTIAL
    retryable = True


class ServerUntrusted(LiuhenError):
    """The certificate of the archive is not one that this dock trusts."""

    code = "dock.server_untrusted"
    exit_code = NO_ACCESS


class NotTheArchive(LiuhenError):
    """What answers there does not answer like a Liuhen archive."""

    code = "dock.not_the_archive"
    exit_code = 76
    retryable = True


class FileChanged(LiuhenError):
    """The file changed while it was being read; it was not delivered and stays where it is."""

    code = "dock.file_changed"
    exit_code = PARTIAL
    retryable = True


class FileUnreadable(LiuhenError):
    """The file cannot be read."""

    code = "dock.file_unreadable"
    exit_code = PARTIAL
    retryable = True


class ReceiptRefused(LiuhenError):
    """The archive gave a receipt that does not verify; keep the recording and tell whoever looks after the archive."""

    code = "dock.receipt_refused"
    exit_code = BAD_FILE


class ReceiptPending(LiuhenError):
    """The archive has the bytes, but no receipt came in time; push again later to fetch it."""

    code = "dock.receipt_pending"
    exit_code = PARTIAL
    retryable = True


class Stopped(LiuhenError):
    """The push was stopped before this file was delivered."""

    code = "dock.stopped"
    exit_code = PARTIAL
    retryable = True


class Refused(LiuhenError):
    """The archive refused; `problem` is its own code, `status` the HTTP status.

    Units: `retry_after_s` in seconds, where the archive asked for a pause.
    """

    code = "dock.refused"
    exit_code = BAD_FILE

    def __init__(
        self,
        problem: str = "",
        message: str | None = None,
        *,
        status: int = 0,
        retry_after_s: float | None = None,
    ) -> None:
        """Keep what the archive said."""
        super().__init__(message)
        self.problem = problem
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later: overload, a full disk, an upload that another request feeds."""
        return self.status >= 500 or self.status in {408, 409, 423, 425, 429, 460}

    @property
    def is_gone(self) -> bool:
        """Whether the upload does not exist any more: it must be started again."""
        return self.status in {404, 410}

    @property
    def is_access(self) -> bool:
        """Whether the archive does not accept this dock (any more)."""
        return self.status in {401, 403}

    @property
    def is_quarantine(self) -> bool:
        """Whether the bytes arrived and were put into quarantine."""
        return self.problem in {"ingest.digest_mismatch", "ingest.manifest_untrusted"}
