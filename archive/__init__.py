"""Liuhen's archive: kernel, ledger, store, catalogue, pages and command line."""
