"""The method itself: the loss, the problem, the loop, and the folder that a run leaves."""

from photowords.inversion.loop import Diverged, Step, invert
from photowords.inversion.problem import Problem, stratified
from photowords.inversion.run import Run

__all__ = ["Diverged", "Problem", "Run", "Step", "invert", "stratified"]
