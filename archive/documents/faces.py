"""The typefaces that are shipped, under a free licence, for what is set and what is drawn into documents."""

from pathlib import Path
from typing import Final

SONG: Final = Path(__file__).parent / "typst" / "fonts" / "NotoSerifCJKsc-Regular-subset.otf"
"""A face in the style of 宋体, one in its file, cut down to what documents need."""
