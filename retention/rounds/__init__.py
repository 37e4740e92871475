"""Fixity rounds (固定性检查): every object and copy re-read within a set period, damage mended, reports."""
