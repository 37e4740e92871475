"""`kill -9` at any moment: docks upload, media jobs run, processes die, and nothing acknowledged may be lost."""
