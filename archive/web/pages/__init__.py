"""Pages for people: Jinja and htmx, no build step, Chinese and English."""

from fastapi import FastAPI


def install_pages(app: FastAPI) -> None:
    """Add every page to the application."""
    del app
