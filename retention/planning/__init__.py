"""Until when each object is kept: planned from its schedule, stored with its basis, and locked in the store."""
