"""Studies: a grid of concepts x starts x seeds, run to files that can be traced; ``report`` shows what came out."""

from photowords.study.folder import found_done
from photowords.study.grid import Trial
from photowords.study.plan import Study, read
from photowords.study.runner import Prepared, Watcher, prepare, run

__all__ = ["Prepared", "Study", "Trial", "Watcher", "found_done", "prepare", "read", "run"]
