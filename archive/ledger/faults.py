"""What stops the log."""

from archive.kernel.errors import LiuhenError


class SequencerFault(LiuhenError):
    """The log cannot go on without risk of a fork; see the message, then `liuhen fsck`."""

    code = "ledger.sequencer_fault"
    exit_code = 74
