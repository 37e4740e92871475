"""Loaded by Python into each process of the archive that the campaign starts, and by nothing else.

The campaign puts this folder on PYTHONPATH. Named functions of the product are wrapped as their modules are loaded, so
that (1) each process keeps on a board in shared memory what it is doing right now, which outlives its death, and (2)
it dies by `kill -9` at the very step that the campaign has armed. The product itself knows nothing of this.
"""

# mypy: ignore-errors

import functools
import importlib.machinery
import json
import mmap
import os
import signal
import struct
import sys
import threading
import time

FOLDER = "CAMPAIGN_FOLDER"
ARMED = "armed.json"
HIT = "hit.json"
PHASES = (
    "chunk",
    "finish",
    "commit",
    "sequencing",
    "journal",
    "publication",
    "anchoring",
    "job",
    "rendition",
    "essence",
)
BOARD = struct.Struct(f"<{len(PHASES)}i")

_here = threading.local()
_rename = os.rename


class Board:
    """How many threads or requests of this process are in each phase."""

    def __init__(self, path):
        """Make the file that the campaign reads."""
        fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        os.ftruncate(fd, BOARD.size)
        self._map = mmap.mmap(fd, BOARD.size)
        os.close(fd)
        self._lock = threading.Lock()

    def add(self, phase, count):
        """Note that one more is in this phase, or one less."""
        with self._lock:
            counts = list(BOARD.unpack_from(self._map))
            counts[PHASES.index(phase)] += count
            BOARD.pack_into(self._map, 0, *counts)


class Trigger:
    """Kills where it was told to, once."""

    def __init__(self, folder):
        """Look for orders in this folder."""
        self._armed = f"{folder}/{ARMED}"
        self._hit = f"{folder}/{HIT}"
        self._seen = {}

    def pull(self, point):
        """Die here, or a little later, if this is the armed point and its turn has come."""
        try:
            with open(self._armed, encoding="ascii") as file:  # noqa: PTH123 - before pathlib is imported
                order = json.load(file)
        except (FileNotFoundError, ValueError):
            return
        if order["point"] != point:
            return
        count = self._seen[order["id"]] = self._seen.get(order["id"], 0) + 1
        if count <= order["skip"]:
            return
        try:
            _rename(self._armed, self._hit)  # of several threads and processes, one gets it
        except FileNotFoundError:
            return
        # Whoever kills itself kills itself last.
        victims = [pid for pid in order["victims"] if pid != os.getpid()]
        if order["self"] or len(victims) < len(order["victims"]):
            victims.append(os.getpid())
        if order["delay_s"] > 0:
            threading.Thread(target=_kill, args=(victims, order["delay_s"]), daemon=True).start()
        else:
            _kill(victims, 0.0)


def _kill(pids, delay_s):
    if delay_s:
        time.sleep(delay_s)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _move(phase):
    """Put this thread into a phase, or out of all."""
    before = getattr(_here, "phase", None)
    if before == phase:
        return
    if before is not None:
        board.add(before, -1)
    if phase is not None:
        board.add(phase, 1)
    _here.phase = phase
    _step("begun")


def _step(name, phase=None):
    phase = phase or getattr(_here, "phase", None)
    if phase is not None:
        trigger.pull(f"{phase}.{name}")


def _before(owner, name, act):
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*args, **kwargs):
        act(*args)
        return original(*args, **kwargs)

    setattr(owner, name, wrapped)


def _within(owner, name, phase_of):
    """Wrap a function whose call is a phase of its thread, whatever phases it goes through inside."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*args, **kwargs):
        phase = phase_of(*args)
        if phase is not None:
            _move(phase)
        try:
            return original(*args, **kwargs)
        finally:
            _move(None)

    setattr(owner, name, wrapped)


def _on_receiving(module):
    original = module.Receiver._feed

    async def fed(*args, **kwargs):
        board.add("chunk", 1)
        try:
            return await original(*args, **kwargs)
        finally:
            board.add("chunk", -1)

    module.Receiver._feed = fed
    _steps_of_chunks(module, "sync", "record_offset")


def _on_chunks(module):
    _steps_of_chunks(module, "write_all")


def _steps_of_chunks(module, *names):
    for name in names:
        _before(module, name, functools.partial(lambda step, *_: _step(step, "chunk"), name))


def _on_accept(module):
    _within(module, "finish_upload", lambda *_: "finish")
    for name in ("_write_new_item", "_write_duplicate", "_close"):
        _before(module, name, lambda *_: _move("commit"))
    _before(module, "remove_staged", lambda *_: _step("unlink"))


def _on_sequencer(module):
    _within(module.Sequencer, "sequence", lambda *_: None)
    _before(module, "leaf_hash", lambda *_: _move("sequencing"))


def _on_journal(module):
    _before(module.Journal, "write", lambda *_: _move("journal"))


def _on_anchors(module):
    _within(module.Anchors, "anchor", lambda *_: "anchoring")
    made = module.Anchors.__init__

    @functools.wraps(made)
    def hurried(self, *args, **kwargs):
        made(self, *args, **{**kwargs, "every": kwargs["every"] * 0})  # else there is one an hour

    module.Anchors.__init__ = hurried


def _on_anchor_rounds(module):
    module._PAUSE_S = 0.2


def _on_worker(module):
    _within(module.Worker, "_run", lambda _, job: "essence" if job.kind == "prove_essence" else "job")


def _on_renditions(module):
    for name in ("make_playable", "make_poster"):
        _before(module, name, lambda *_: _move("rendition"))
    _before(module, "probe", lambda *_: _step("probe"))


def _on_live(module):
    _before(module.LiveEncode, "encode", lambda *_: _move("rendition"))


def _on_workshop(module):
    _before(module.Workshop, "store", lambda *_: _step("store"))


def _on_supervise(module):
    _before(module.Supervisor, "_read_to_end", lambda *_: _step("program"))


def _committed():
    if getattr(_here, "phase", None) in {"sequencing", "journal"}:
        _move("publication")
    else:
        _step("committed")


def _on_session(module):
    original = module.Session.commit

    @functools.wraps(original)
    def commit(self):
        if self.join_transaction_mode == "create_savepoint":  # SQLite: that is not the commit yet
            original(self)
            return
        _step("committing")
        original(self)
        _committed()

    module.Session.commit = commit


def _on_shared_commits(module):
    shared = module.SharedCommits
    leave, wait = shared._leave, shared._await

    @functools.wraps(leave)
    def left(self, group, *, lost=None):
        if lost is None:
            _step("committing")
        leave(self, group, lost=lost)

    @functools.wraps(wait)
    def waited(self, group):
        wait(self, group)
        _committed()

    shared._leave, shared._await = left, waited


_WRAPPED = {
    "ingest.receiving": _on_receiving,
    "ingest.accept": _on_accept,
    "archive.ledger.sequencer": _on_sequencer,
    "archive.worker.loop": _on_worker,
    "ingest.chunks": _on_chunks,
    "ingest.live": _on_live,
    "ingest.renditions": _on_renditions,
    "ingest.workshop": _on_workshop,
    "ingest.media.supervise": _on_supervise,
    "sqlalchemy.orm.session": _on_session,
    "archive.db.shared_commits": _on_shared_commits,
    "archive.ledger.journal": _on_journal,
    "archive.ledger.anchors": _on_anchors,
    "archive.ledger.anchor_rounds": _on_anchor_rounds,
}


class _Finder:
    """Finds the modules to be wrapped as usual, and wraps them when they have been loaded."""

    @staticmethod
    def find_spec(name, path, _target=None):
        """Return the module's own spec with a loader that also wraps; None for other modules."""
        wrap = _WRAPPED.get(name)
        spec = None if wrap is None else importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            wrap(module)

        spec.loader.exec_module = exec_module
        return spec


def _role():
    words = [word for word in sys.orig_argv if word in {"web", "worker", "sequencer", "serve"}]
    return words[0] if "archive.cli" in sys.orig_argv and words else None


if FOLDER in os.environ and _role() is not None:
    board = Board(f"{os.environ[FOLDER]}/board-{_role()}-{os.getpid()}")
    trigger = Trigger(os.environ[FOLDER])
    for _name in ("fsync", "fdatasync", "link", "replace"):
        _before(os, _name, functools.partial(lambda step, *_: _step(step), _name))
    sys.meta_path.insert(0, _Finder)
