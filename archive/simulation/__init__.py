"""The simulation of a shift change: when every camera may be wiped, and what the docks wait for.

It reads a file of parameters and nothing else: no archive, no database. A calibration run measures
those of one machine.
"""
