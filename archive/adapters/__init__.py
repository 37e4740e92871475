"""Adapters: each implements one port on one kind of outside. Only `archive.wiring` imports from here."""
