"""The one error that a user can cause and mend, and the one warning; the command line prints each as one line."""


class UserError(Exception):
    """Bad input. The message is one sentence: what is wrong, and what to do about it."""


class PhotowordsWarning(UserWarning):
    """Something that a user should know but that stops nothing."""
