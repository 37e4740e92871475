"""Custody: what is preserved, and everything that ever happened to it, each event with its log entry."""
