"""The one error that a user can cause and mend, and the one warning; the command line prints each as one line."""


class UserError(Exception):
    """Bad input. The message is one sentence: what is wrong, and what to do about it."""


class PhotowordsWarning(UserWarning):
    """Something that a user should know but that stops nothing."""


def reason(error: BaseException) -> str:
    """The first line of what a library said, for a sentence of ours; the kind of error when it said nothing."""
    said = str(error).strip()
    return said.splitlines()[0][:160] if said else type(error).__name__
