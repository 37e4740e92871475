"""Judging signatures that others made: PDFs and detached containers, against trust that stands in files.

Nothing is fetched: certificates, revocation lists and OCSP answers come with the document or from the caller. Whoever
reads a foreign PDF does so through `python -m signing.validation` in a sandbox (`ingest.documents`).
"""
