"""Sizes as people write them."""
from __future__ import annotations

from argparse import ArgumentTypeError


def parse_size(text: str) -> tuple[int, int]:
    """Read a HEIGHTxWIDTH of the command line, such as `384x480`; give (height, width).

    What range they may have is for the caller to say.

    Raises:
        ArgumentTypeError: if it is none, which argparse tells the user.
    """
    height, _, width = text.lower().partition('x')
    if not (height.isdecimal() and width.isdecimal()):
        raise ArgumentTypeError(f'{text!r} is no HEIGHTxWIDTH, such as 384x480')
    return int(height), int(width)
