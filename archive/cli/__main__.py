"""`python -m archive.cli`, for processes that start each other without depending on the search path."""

from archive.cli import main

main()
