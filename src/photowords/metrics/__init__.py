"""Pure functions of pictures, embeddings and losses, each with its direction, range and source.

Scores of pictures come one for each picture, (n,); a metric is their mean.
"""

from photowords.metrics.registry import METRICS, Metric, Suite, metric_names, resolve
from photowords.metrics.similarity import to_images, to_text

__all__ = ["METRICS", "Metric", "Suite", "metric_names", "resolve", "to_images", "to_text"]
