"""Every embedding file: ours, and those of other tools. ``read`` takes any of them, ``write`` writes for each.

To write for one more tool, add a row to ``TOOLS``.
"""

from photowords.formats.exporting import Exported, export, is_earlier, parts, preview_of, sample_of, target
from photowords.formats.names import default_stem
from photowords.formats.reading import read
from photowords.formats.tools import TOOLS, Tool
from photowords.formats.use import Use, use
from photowords.formats.writing import per_word, write

__all__ = [
    "TOOLS",
    "Exported",
    "Tool",
    "Use",
    "default_stem",
    "export",
    "is_earlier",
    "parts",
    "per_word",
    "preview_of",
    "read",
    "sample_of",
    "target",
    "use",
    "write",
]
