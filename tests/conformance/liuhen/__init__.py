"""Liuhen's own server under the tus suite and under clients that others wrote."""
