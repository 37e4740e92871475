"""Text records: what was written about a case. First part: signed PDFs that are filed as they are."""
