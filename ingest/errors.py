"""What can go wrong at intake; each cause has its code, and says whether trying again helps."""

from archive.kernel.errors import Conflict, Forbidden, InvalidInput, LiuhenError, NotFound


class EnrolmentRefused(LiuhenError):
    """The one-time code is unknown, used or expired; ask for a new one with `liuhen dock invite`."""

    code = "ingest.enrolment_refused"
    exit_code = 77


class DockRevoked(Forbidden):
    """This dock was revoked; it must be enrolled anew."""

    code = "ingest.dock_revoked"


class DockNotFound(NotFound):
    """There is no such dock."""

    code = "ingest.dock_not_found"


class UploadNotFound(NotFound):
    """There is no such upload for this dock."""

    code = "ingest.upload_not_found"


class UploadGone(NotFound):
    """The upload has ended: it was terminated or it expired. Start it again."""

    code = "ingest.upload_gone"


class UploadFinished(Conflict):
    """The upload is finished; what is in the archive stays."""

    code = "ingest.upload_finished"


class OffsetConflict(Conflict):
    """The offset is not where the upload stands; ask for it with HEAD."""

    code = "ingest.offset_conflict"


class UploadTakenOver(Conflict):
    """Another request for the same upload has taken over."""

    code = "ingest.upload_taken_over"
    retryable = True


class DirectNotOffered(NotFound):
    """This archive takes no bytes straight into its bucket; send them to the archive itself."""

    code = "ingest.direct_not_offered"


class EmptyFile(InvalidInput):
    """An empty file holds no evidence and is refused."""

    code = "ingest.empty_file"
    exit_code = 65


class TooLarge(InvalidInput):
    """The file is larger than this archive accepts."""

    code = "ingest.too_large"
    exit_code = 65


class TooLong(InvalidInput):
    """The chunk is longer than what is missing of the upload; it was dropped."""

    code = "ingest.too_long"
    exit_code = 65


class StagedBytesLost(LiuhenError):
    """The staged bytes are shorter than what was acknowledged; the disk lost them. Start the upload again."""

    code = "ingest.staged_bytes_lost"
    exit_code = 74


class ManifestMissing(InvalidInput):
    """The upload comes without a dock's manifest and signature."""

    code = "ingest.manifest_missing"
    exit_code = 65


class ManifestMalformed(InvalidInput):
    """The manifest is not a Liuhen dock manifest."""

    code = "ingest.manifest_malformed"
    exit_code = 65


class ChecksumMismatch(LiuhenError):
    """The chunk's checksum does not match; the chunk was dropped, send it again."""

    code = "ingest.checksum_mismatch"
    exit_code = 65
    retryable = True


class Quarantined(LiuhenError):
    """The bytes were kept in quarantine and no receipt is given; do not wipe the camera."""

    code = "ingest.quarantined"
    exit_code = 65


class DigestMismatch(Quarantined):
    """The bytes that arrived are not the ones that the manifest names; they were kept in quarantine."""

    code = "ingest.digest_mismatch"


class ManifestUntrusted(Quarantined):
    """The manifest is not signed by this dock's key; the bytes were kept in quarantine."""

    code = "ingest.manifest_untrusted"


class UploadElsewhere(LiuhenError):
    """The bytes of this upload lie on another host of the archive; try again, or start the upload anew."""

    code = "ingest.upload_elsewhere"
    exit_code = 75
    retryable = True


class IntakeBusy(LiuhenError):
    """The same recording is being taken in by another upload; try again."""

    code = "ingest.busy"
    exit_code = 75
    retryable = True


class HeldBack(LiuhenError):
    """The archive takes no more of this just now; nothing is lost, come again when it says."""

    code = "ingest.held_back"
    exit_code = 75
    retryable = True
    reason = "other"


class DiskReserved(HeldBack):
    """The archive's disk is filled up to its reserve; come again when there is room."""

    code = "ingest.disk_reserved"
    reason = "disk"


class IntakeFull(HeldBack):
    """More waits to be taken in than the archive lets wait; come again soon."""

    code = "ingest.intake_full"
    reason = "queue"


class DockQuota(HeldBack):
    """This dock has begun to send as many bytes in 24 hours as it may."""

    code = "ingest.dock_quota"
    reason = "quota"


class DockUploads(HeldBack):
    """This dock has as many uploads under way as it may."""

    code = "ingest.dock_uploads"
    reason = "uploads"


class DockPace(HeldBack):
    """This dock sends faster than it may; what arrived is kept."""

    code = "ingest.dock_pace"
    reason = "pace"
