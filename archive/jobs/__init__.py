"""The job table: work that follows a change, written in the change's transaction."""
