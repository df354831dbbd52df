"""Errors that a command answers with one line instead of a traceback. Imports nothing heavy."""

import signal


class UserError(ValueError):
    """Something that the user can mend: the message says what is wrong, where, and what to do."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came, where Ctrl-C would have raised KeyboardInterrupt; or nobody reads
    the output any more.

    Args:
        signum: which one; that of SIGPIPE where nobody reads.
    """

    def __init__(self, signum=signal.SIGTERM):
        super().__init__()
        self.signum = signum
