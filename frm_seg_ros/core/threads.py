"""How many threads a network may take on the CPU."""
from __future__ import annotations

import os

from frm_seg_ros.core.errors import ConfigError

VARIABLE = 'FRM_SEG_THREADS'


def wanted_threads() -> int | None:
    """Read from the environment how many threads a backend may take; None: it chooses.

    Raises:
        ConfigError: if it is no whole number from 1 on.
    """
    text = os.environ.get(VARIABLE, '')
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ConfigError(f'{VARIABLE} is {text!r}: give a number of threads, 1 or more, or unset '
                          'it')
    return int(text)
