"""What can go wrong with media, one class per cause. `retryable` says whether the same bytes may succeed later."""

from archive.kernel.errors import LiuhenError


class MediaError(LiuhenError):
    """A media step failed."""

    code = "media.error"
    exit_code = 70


class Unplayable(MediaError):
    """The recording cannot be made playable; the original is kept and can be downloaded.

    `facts["reason"]` holds the coded reason (`media.not_media`, `media.no_index`, ...).
    """

    code = "media.unplayable"
    exit_code = 65


class ToolMissing(MediaError):
    """A program that is needed (ffmpeg, ffprobe) is not installed or does not start."""

    code = "media.tool_missing"
    exit_code = 69
    retryable = True


class SandboxUnavailable(MediaError):
    """Nothing is parsed: bubblewrap is missing or cannot work here, and the sandbox is required."""

    code = "media.sandbox_unavailable"
    exit_code = 69
    retryable = True


class MediaTimeout(MediaError):
    """A media program ran longer than its wall clock limit; the machine may be busy."""

    code = "media.timeout"
    exit_code = 75
    retryable = True


class MediaKilled(MediaError):
    """The machine ended a media program, most likely for want of memory; try again when it has more."""

    code = "media.killed"
    exit_code = 75
    retryable = True


class MediaStopped(MediaError):
    """The work was stopped on request before it was done."""

    code = "media.stopped"
    exit_code = 75
    retryable = True
