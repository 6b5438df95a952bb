"""The one error that a user can cause and mend, and the one warning; the command line prints each as one line.

A message names a setting or an argument in backquotes, as Python spells it: "try a lower `lr`". A front end whose users
spell it otherwise replaces it (``spelled``), so that no message speaks of another's flags or keys.
"""

import re
from collections.abc import Callable

# Control characters, which a terminal obeys; those that turn text around; and halves of surrogate pairs.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class UserError(Exception):
    """Bad input. The message is one sentence: what is wrong, and what to do about it."""


class PhotowordsWarning(UserWarning):
    """Something that a user should know but that stops nothing."""


def spelled(message: str, spelling: Callable[[str], str]) -> str:
    """A message with each name in backquotes written as a front end spells it."""
    return re.sub(r"`(\w+)`", lambda found: spelling(found[1]), message)


def showable(text: str) -> str:
    """A text of a file, or a file's name, as it may be printed: what is no text in it is replaced."""
    return _UNSHOWABLE.sub("\ufffd", text)


def reason(error: BaseException) -> str:
    """The first line of what a library said, for a sentence of ours; the kind of error when it said nothing."""
    said = str(error).strip()
    return said.splitlines()[0][:160] if said else type(error).__name__


def is_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, the machine's or a device's: PyTorch tells the CPU's and Apple's in words alone."""
    full = ("out of memory", "allocate memory", "not enough memory", "alloc_failed")  # the last one is cuBLAS's
    told = isinstance(error, RuntimeError) and any(words in str(error).lower() for words in full)
    return isinstance(error, MemoryError) or told
