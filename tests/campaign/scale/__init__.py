"""Campaign scale: the suites on each of the deployments that we promise."""
