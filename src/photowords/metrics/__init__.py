"""Pure functions of pictures, each with its direction and range."""

from photowords.metrics.clip import ImageEncoder, all_pairs

__all__ = ["ImageEncoder", "all_pairs"]
