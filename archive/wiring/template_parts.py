"""Putting together what templates are looked after with."""

from archive.documents.record_setting import RecordSetter
from archive.documents.template_previews import TemplatePreviews


def template_previews() -> TemplatePreviews:
    """Return what shows templates as pages; its compiler is its own, so that no record waits for a preview."""
    return TemplatePreviews(RecordSetter())
