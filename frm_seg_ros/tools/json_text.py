"""JSON that people can read: indented, but a list of numbers on one line."""
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# No text can look like this: in JSON a line break inside a text is written as \n.
_NUMBERS = re.compile(r'\[\n[-+.\deE,\s]+\]')


def json_text(values: Mapping[str, Any]) -> str:
    """Write values as JSON, with a line break at the end.

    Raises:
        ValueError: if a number is NaN or infinite.
    """
    text = json.dumps(values, indent=1, allow_nan=False)
    return _NUMBERS.sub(lambda match: f'[{" ".join(match[0][1:-1].split())}]', text) + '\n'
