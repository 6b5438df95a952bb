"""The method itself: the loss, the problem, the loop, and the folder that a run leaves."""

from photowords.inversion.loop import Diverged, invert
from photowords.inversion.problem import Problem, stratified
from photowords.inversion.run import Run
from photowords.inversion.step import Step

__all__ = ["Diverged", "Problem", "Run", "Step", "invert", "stratified"]
