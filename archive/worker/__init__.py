"""The worker entry point: claims jobs and runs them. First part: a local loop."""
