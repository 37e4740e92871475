"""Coming back: the catalogue out of log, journal, stores and keys; backups, and bringing them up to the log's end.

`recovering` brings back the log's own tables and has `replaying` write the rows that each entry tells of; `anew` makes
what follows from those. `backing_up` and `restoring` write and read backups.
"""
