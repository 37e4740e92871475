"""Long runs of faults and tampering against the real service; their reports are committed under docs/campaigns."""
