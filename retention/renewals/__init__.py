"""What will age, found ahead of time and renewed: timestamps, signatures over manifests, and the archive's own keys."""
