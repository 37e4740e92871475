"""What can go wrong with an object, apart from what the blob store itself reports."""

from archive.kernel.errors import Conflict, NotFound, Unavailable
from archive.ports.blobs import StoreBroken


class ObjectMissing(NotFound):
    """There is no object with this id."""

    code = "ocfl.object_missing"


class FileMissing(NotFound):
    """The object has no file with this logical path."""

    code = "ocfl.file_missing"


class ObjectExists(Conflict):
    """There is an object with this id and other content; it was not touched."""

    code = "ocfl.object_exists"


class PathTaken(Conflict):
    """The object has another file with this logical path; a version adds files and never replaces one."""

    code = "ocfl.path_taken"


class VersionClaimed(Conflict):
    """Another attempt has claimed this version with other content.

    Either it is still at work, and a later try adds the next version, or it died: `OcflRoot.discard_unfinished`.
    """

    code = "ocfl.version_claimed"
    retryable = True


class BrokenInventory(StoreBroken):
    """An inventory is not what a writer of this archive leaves."""

    code = "ocfl.inventory_broken"


class ObjectLocked(Conflict):
    """The store keeps a file of this object locked; nothing was deleted."""

    code = "ocfl.object_locked"


class ObjectNotGone(Unavailable):
    """Files of an object that was deleted are there again; try again."""

    code = "ocfl.object_not_gone"
