"""Depth images to metres."""
from __future__ import annotations

from typing import Any

import numpy as np

from frm_seg_ros.core.encodings import MAX_PIXELS
from frm_seg_ros.core.errors import FrameError

# Type of a value and its length in metres: REP 118.
_ENCODINGS = {'16UC1': ('u2', 1e-3), 'mono16': ('u2', 1e-3), '32FC1': ('f4', 1.0)}


def to_metres(message: Any) -> np.ndarray:
    """Read a depth image: (H, W) float32 metres along the optical axis, NaN where there is none.

    Args:
        message: has the fields of sensor_msgs/Image: 16UC1, millimetres, 0 for none; or 32FC1,
            metres, anything but a positive number for none (REP 118).

    Raises:
        FrameError: `bad_encoding`, `bad_size` or `bad_data`.
    """
    if message.encoding not in _ENCODINGS:
        raise FrameError('bad_encoding', f'depth image has the encoding {message.encoding[:60]!r}'
                                         f', known are {", ".join(_ENCODINGS)}')
    kind, unit = _ENCODINGS[message.encoding]
    height, width, step = int(message.height), int(message.width), int(message.step)
    if not 1 <= height * width <= MAX_PIXELS:
        raise FrameError('bad_size', f'depth image is {height}x{width} (height x width), wanted '
                                     f'1x1 or more and at most {MAX_PIXELS >> 20} Mi pixels')
    dtype = np.dtype(('>' if message.is_bigendian else '<') + kind)
    data = np.frombuffer(message.data, np.uint8)
    if step < width * dtype.itemsize or len(data) != height * step:
        raise FrameError('bad_data', f'{message.encoding} depth image of {height}x{width} with '
                                     f'step {step} has {len(data)} bytes')
    rows = np.ascontiguousarray(data.reshape(height, step)[:, :width * dtype.itemsize])
    metres = rows.view(dtype).astype(np.float32) * np.float32(unit)
    return np.where((metres > 0) & np.isfinite(metres), metres, np.float32(np.nan))
