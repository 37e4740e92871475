"""Campaign syscalls: one call to the kernel fails at a time."""
