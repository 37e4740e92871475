"""Campaign footprint: what an item takes of the database, and of the bucket's requests."""
