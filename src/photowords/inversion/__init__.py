"""The method itself: the loss, the loop, and the folder that a run leaves."""

from photowords.inversion.loop import Diverged, Step, invert
from photowords.inversion.loss import HeldOut, stratified
from photowords.inversion.run import Run
from photowords.inversion.views import View, views

__all__ = ["Diverged", "HeldOut", "Run", "Step", "View", "invert", "stratified", "views"]
