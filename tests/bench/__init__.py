"""Measurements beside what one would use instead; `./dev bench` writes docs/benchmarks.md."""
