"""The one error that a user can cause and mend; the command line prints it without a traceback."""


class UserError(Exception):
    """Bad input. The message is one sentence: what is wrong, and what to do about it."""
