"""Errors for which a command prints one line instead of a traceback."""

import signal


class UserError(ValueError):
    """Something that the user can fix. The message says what is wrong, where, and what to do."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived, or the pipe that reads the output was closed.

    It derives from KeyboardInterrupt, so it stops a command like Ctrl-C.

    Args:
        signum: the number of the signal; that of SIGPIPE for a closed pipe.
    """

    def __init__(self, signum=signal.SIGTERM):
        super().__init__()
        self.signum = signum
