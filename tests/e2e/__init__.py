"""A real browser against the running service."""
