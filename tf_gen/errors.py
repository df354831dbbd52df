"""Errors that a command answers with one line instead of a traceback. Imports nothing heavy."""


class UserError(ValueError):
    """Something that the user can mend: the message says what is wrong, where, and what to do."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came, where Ctrl-C would have raised KeyboardInterrupt."""
