"""The check of case packages, without database, server and network. Format and codes: docs/formats/case-package.md.

`archive.packages.verification.check` is the door; `archive/packages/verifier` holds the two that travel in a package
and say the same.
"""
