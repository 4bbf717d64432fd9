"""The two errors that users meet."""


class ConfigError(ValueError):
    """Refuse to start: a parameter, file, model or command is wrong.

    The text is one sentence: the thing, what was found, what is wanted, what to do.
    """


class FrameError(ValueError):
    """Drop this one frame and live on.

    Args:
        reason: short identifier under which the drop is counted, such as `bad_size`.
        message: one sentence for the log.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def one_line(error: Exception) -> str:
    """Write an error on one line; any but our own with the name of its type."""
    text = ' '.join(str(error).split())
    return text if isinstance(error, ConfigError) else f'{type(error).__name__}: {text}'
