"""Studies: a grid of concepts x starts x seeds, run to files that can be traced, and the report made of them."""

from photowords.study.grid import Trial
from photowords.study.plan import Study, read
from photowords.study.run import Prepared, Watcher, prepare, run

__all__ = ["Prepared", "Study", "Trial", "Watcher", "prepare", "read", "run"]
