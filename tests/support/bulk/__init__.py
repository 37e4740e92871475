"""An archive with any number of items, made in bulk: rows as the real code writes them, past the use cases.

`tests/integration/test_bulk.py` holds what is made here against the real code: search documents, reach and the log.
"""
