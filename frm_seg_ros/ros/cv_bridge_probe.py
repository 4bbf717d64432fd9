"""Encodings that we do not convert ourselves, through cv_bridge where a working one is installed.

The probe runs as a child process, because a cv_bridge built for another NumPy can crash on import,
and the one on the package index converts some images wrongly without saying so. Run as a program,
this module is the probe.
"""
from __future__ import annotations

import array
import os
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np

from frm_seg_ros.core.encodings import to_rgb
from frm_seg_ros.core.errors import FrameError

PROBE_SECONDS = 30


def image_to_rgb(message: Any) -> np.ndarray:
    """Convert a sensor_msgs/Image of any encoding to (H, W, 3) uint8 RGB.

    Raises:
        FrameError: if the message is malformed, or neither we nor cv_bridge know its encoding.
    """
    try:
        return to_rgb(message)
    except FrameError as error:
        if error.reason != 'bad_encoding' or not usable():
            raise
        unknown = error
    from cv_bridge import CvBridge
    try:
        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(message, 'rgb8'))
    except Exception as error:   # cv_bridge raises whatever its C++ and OpenCV raise
        raise FrameError('bad_encoding', f'{unknown}; nor does cv_bridge: {error}') from error


@cache
def usable() -> bool:
    """Tell whether a cv_bridge is installed that converts rightly; asks once, in a child."""
    environment = os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    try:
        child = subprocess.run([sys.executable, '-m', __name__], timeout=PROBE_SECONDS,
                               stdin=subprocess.DEVNULL, capture_output=True, check=False,
                               env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return child.returncode == 0


def _image(encoding: str, pixels: np.ndarray, padding: int) -> Any:
    """Make an image message whose rows end with `padding` bytes."""
    from sensor_msgs.msg import Image
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    return Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
                 step=padded.shape[1], data=array.array('B', padded.tobytes()))


def probe() -> bool:
    """Convert a few images, padded rows and 16 bits among them, and compare the values."""
    from cv_bridge import CvBridge
    bridge = CvBridge()
    color = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    deep = (np.arange(4 * 6, dtype=np.uint16) * 2000).reshape(4, 6)
    cases = [
        (_image('bgr8', color, 6), 'rgb8', color[..., ::-1]),
        (_image('16UC1', deep, 4), 'passthrough', deep),
        (_image('mono16', deep, 0), 'mono16', deep),
        (_image('rgb16', color.astype(np.uint16) * 257, 0), 'rgb8', color),
    ]
    for message, wanted, values in cases:
        found = bridge.imgmsg_to_cv2(message, wanted)
        if found.dtype != values.dtype or not np.array_equal(found, values):
            return False
    return True


if __name__ == '__main__':
    sys.exit(0 if probe() else 1)
