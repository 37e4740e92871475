"""Campaign jobs: whoever takes part in working on jobs behind a broker is killed, cut off or lied to."""
