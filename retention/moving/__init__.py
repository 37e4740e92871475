"""Moving all objects to another store: copied, verified, switched to, kept for a while, and then released."""
