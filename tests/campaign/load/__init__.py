"""Campaign load: docks, readers and workers at once for some minutes, and the simulation beside what was measured."""
