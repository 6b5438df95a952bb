"""The method itself: the loss, the problem, the loop, and the folder that a run leaves."""

from photowords.inversion.lockstep import Lockstep
from photowords.inversion.loop import Diverged, Inversion, invert, together
from photowords.inversion.problem import Problem, rates, stratified
from photowords.inversion.rule import Rule
from photowords.inversion.run import Run
from photowords.inversion.step import Step

__all__ = [
    "Diverged",
    "Inversion",
    "Lockstep",
    "Problem",
    "Rule",
    "Run",
    "Step",
    "invert",
    "rates",
    "stratified",
    "together",
]
