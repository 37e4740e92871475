"""What the names of files say about their source: patterns as data, for docks and for the archive's own doors."""
