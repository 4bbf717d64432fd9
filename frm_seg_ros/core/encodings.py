"""Pictures of messages to RGB arrays and back; the only place that knows their encodings.

The functions look at the fields of sensor_msgs/Image and CompressedImage only, so that messages of
rclpy, messages read from a bag and plain stand-ins all do.
"""
from __future__ import annotations

import array
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from frm_seg_ros.core.bounds import MAX_PIXELS
from frm_seg_ros.core.errors import FrameError
from frm_seg_ros.core.picture_header import declared_size


@dataclass(frozen=True)
class _Encoding:
    """How one encoding lies in memory, and OpenCV's way from it to RGB.

    Attributes:
        pixel_bytes: bytes a pixel in a row of the first plane.
        code: conversion of cv2.cvtColor; None where the data is RGB already.
        multiple: (height, width) have to be multiples of these.
        least: smallest height and width that OpenCV converts.
        half_rows: rows of data for two rows of the picture.
    """

    pixel_bytes: int
    code: int | None
    multiple: tuple[int, int] = (1, 1)
    least: int = 1
    half_rows: int = 2


# Names of sensor_msgs/image_encodings.hpp, and nv12 as camera drivers write it. The 8UCx have no
# colour order of their own: they are taken as OpenCV's, as cv_bridge does. YUV is ITU-R BT.601
# with limited range. OpenCV names a Bayer pattern by the second row from the second column on, ROS
# by the first row from the first: rggb8 is OpenCV's BG. (OpenCV gives black below three pixels.)
_ENCODINGS = {
    'rgb8': _Encoding(3, None),
    'bgr8': _Encoding(3, cv2.COLOR_BGR2RGB),
    'rgba8': _Encoding(4, cv2.COLOR_RGBA2RGB),
    'bgra8': _Encoding(4, cv2.COLOR_BGRA2RGB),
    'mono8': _Encoding(1, cv2.COLOR_GRAY2RGB),
    'mono16': _Encoding(2, cv2.COLOR_GRAY2RGB),
    '8UC1': _Encoding(1, cv2.COLOR_GRAY2RGB),
    '8UC3': _Encoding(3, cv2.COLOR_BGR2RGB),
    '8UC4': _Encoding(4, cv2.COLOR_BGRA2RGB),
    'yuv422': _Encoding(2, cv2.COLOR_YUV2RGB_UYVY, (1, 2)),
    'uyvy': _Encoding(2, cv2.COLOR_YUV2RGB_UYVY, (1, 2)),
    'yuv422_yuy2': _Encoding(2, cv2.COLOR_YUV2RGB_YUY2, (1, 2)),
    'yuyv': _Encoding(2, cv2.COLOR_YUV2RGB_YUY2, (1, 2)),
    'nv12': _Encoding(1, cv2.COLOR_YUV2RGB_NV12, (2, 2), half_rows=3),
    'nv21': _Encoding(1, cv2.COLOR_YUV2RGB_NV21, (2, 2), half_rows=3),
    'bayer_rggb8': _Encoding(1, cv2.COLOR_BayerBG2RGB, least=3),
    'bayer_bggr8': _Encoding(1, cv2.COLOR_BayerRG2RGB, least=3),
    'bayer_gbrg8': _Encoding(1, cv2.COLOR_BayerGR2RGB, least=3),
    'bayer_grbg8': _Encoding(1, cv2.COLOR_BayerGB2RGB, least=3),
}
ENCODINGS = tuple(_ENCODINGS)


def to_rgb(message: Any) -> np.ndarray:
    """Convert an image message to (H, W, 3) uint8 RGB.

    `rgb8` comes back as a view of the message's data, rows padded or not: it changes with the
    message, and is read-only where the data is. Every other encoding is converted into a new array
    in one pass of OpenCV, which is quicker than working on a view with a reversed or wide pixel
    stride, since OpenCV would copy such a view first at every call.

    Args:
        message: has height, width, encoding, is_bigendian, step and data as in sensor_msgs/Image;
            data is any contiguous buffer (array.array, bytes, memoryview, numpy array). `mono16`
            is scaled from 0..65535 to 0..255. `nv12` and `nv21` have the picture's height, a step
            that is the first plane's, and 3/2 as many rows of data.

    Raises:
        FrameError: `bad_size`, `bad_encoding` (not in ENCODINGS), `bad_step` or `bad_data`.
    """
    height, width = int(message.height), int(message.width)
    _check_size(height, width, 'bad_size')
    encoding = _find_encoding(message.encoding)
    _check_shape(message.encoding, encoding, height, width)
    rows = _rows(message, encoding, height, width)
    if message.encoding == 'mono16':
        pixels = np.ascontiguousarray(rows).view('>u2' if message.is_bigendian else '<u2')
        rows = cv2.convertScaleAbs(pixels.astype(np.uint16, copy=False), alpha=255 / 65535)
    elif encoding.pixel_bytes > 1:
        rows = rows.reshape(len(rows), width, encoding.pixel_bytes)
    return rows if encoding.code is None else cv2.cvtColor(rows, encoding.code)


def to_mono(message: Any) -> np.ndarray:
    """View a `mono8` (or `8UC1`) image message, such as a label image, as (H, W) uint8.

    Raises:
        FrameError: as `to_rgb` does; `bad_encoding` for every other encoding too.
    """
    if message.encoding not in ('mono8', '8UC1'):
        raise FrameError('bad_encoding',
                         f'label image has the encoding {_quoted(message.encoding)}, wanted mono8')
    height, width = int(message.height), int(message.width)
    _check_size(height, width, 'bad_size')
    return _rows(message, _ENCODINGS[message.encoding], height, width)


def compressed_to_rgb(message: Any) -> np.ndarray:
    """Decode a compressed image message to (H, W, 3) uint8 RGB.

    The data's own first bytes tell JPEG from PNG; the format field is only quoted in errors, for
    drivers write many things there. An orientation in the file is not applied, so that the
    picture has the pixels of the camera's CameraInfo.

    Args:
        message: has format and data as in sensor_msgs/CompressedImage.

    Raises:
        FrameError: `bad_compressed`, as `decode_picture` does.
    """
    return decode_picture(message.data, f'compressed image with format {_quoted(message.format)}')


def decode_picture(content: Any, name: str, upright: bool = False) -> np.ndarray:
    """Decode a JPEG or PNG to (H, W, 3) uint8 RGB.

    Args:
        content: any contiguous buffer of the file's bytes.
        name: what it is, for the sentence of an error.
        upright: turn the picture as an orientation in the file says.

    Raises:
        FrameError: `bad_compressed` if the content is neither JPEG nor PNG, is cut off or damaged,
            or if its header declares a size out of bounds, which is seen before it is decoded.
            (JPEG holds no checksum: damage inside its compressed data that still decodes cannot
            be seen.)
    """
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.cvtColor(_decode(content, name, flags), cv2.COLOR_BGR2RGB)


def decode_stored(content: Any, name: str) -> np.ndarray:
    """Decode a PNG as it is stored: (H, W) or (H, W, channels), uint8 or uint16, colours as BGR.

    Args:
        content: any contiguous buffer of the file's bytes.
        name: what it is, for the sentence of an error.

    Raises:
        FrameError: `bad_compressed`, as `decode_picture` does; a JPEG is refused too, since its
            loss would change labels.
    """
    return _decode(content, name, cv2.IMREAD_UNCHANGED, png_only=True)


def fill_image(message: Any, image: np.ndarray, encoding: str) -> None:
    """Write an array into an image message: size, encoding, unpadded rows and data.

    The data is assigned as array.array, which rclpy takes as it is: other types are walked element
    by element, up to 150 times slower.

    Args:
        message: a sensor_msgs/Image; its header is left alone.
        image: uint8, (H, W) for `mono8` or (H, W, 3) for `rgb8` and `bgr8`.
        encoding: one of these three.

    Raises:
        ValueError: if the array does not fit the encoding.
    """
    channels = {'mono8': 1, 'rgb8': 3, 'bgr8': 3}[encoding]
    extra = (3,) if channels == 3 else ()
    if image.dtype != np.uint8 or image.size == 0 or image.ndim < 2 or image.shape[2:] != extra:
        raise ValueError(f'{encoding} wants uint8 (H, W{", 3" if extra else ""}), found '
                         f'{image.dtype} {image.shape}')
    message.height, message.width = image.shape[:2]
    message.encoding, message.is_bigendian = encoding, 0
    message.step = image.shape[1] * channels
    data = array.array('B')
    data.frombytes(np.ascontiguousarray(image).data.cast('B'))
    message.data = data


def _decode(content: Any, name: str, flags: int, png_only: bool = False) -> np.ndarray:
    """Decode with OpenCV what declares a size within bounds."""
    data = _buffer(content, 'bad_compressed')
    try:
        _check_size(*declared_size(data.data, png_only), 'bad_compressed')
        image = cv2.imdecode(data, flags)
        if image is None:
            raise ValueError('OpenCV cannot decode it')
    except (ValueError, IndexError, struct.error, cv2.error) as error:
        why = 'it is cut off' if isinstance(error, (IndexError, struct.error)) else error
        wanted = 'PNG' if png_only else 'JPEG or PNG'
        raise FrameError('bad_compressed', f'{name} ({len(data)} bytes) is no sound {wanted}: '
                                           f'{why}') from error
    return image


def _quoted(text: Any) -> str:
    return repr(str(text)[:60])


def _check_size(height: int, width: int, reason: str) -> None:
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise FrameError(reason, f'image is {height}x{width} (height x width), wanted 1x1 or more '
                                 f'and at most {MAX_PIXELS >> 20} Mi pixels')


def _find_encoding(name: str) -> _Encoding:
    if name not in _ENCODINGS:
        raise FrameError('bad_encoding', f'image has the encoding {_quoted(name)}, known are '
                                         f'{", ".join(_ENCODINGS)}')
    return _ENCODINGS[name]


def _check_shape(name: str, encoding: _Encoding, height: int, width: int) -> None:
    rows, columns = encoding.multiple
    if height % rows or width % columns or min(height, width) < encoding.least:
        raise FrameError('bad_size', f'{name} image is {height}x{width} (height x width), wanted '
                                     f'multiples of {rows}x{columns} from {encoding.least} on')


def _rows(message: Any, encoding: _Encoding, height: int, width: int) -> np.ndarray:
    """View the data as (rows, bytes of a row without its padding) uint8."""
    step, row_bytes = int(message.step), width * encoding.pixel_bytes   # Python's: no overflow
    if step < row_bytes:
        raise FrameError('bad_step', f'{message.encoding} image of width {width} has a step of '
                                     f'{step} bytes, wanted at least {row_bytes}')
    data = _buffer(message.data, 'bad_data')
    count = height * encoding.half_rows // 2
    if len(data) != count * step:
        raise FrameError('bad_data', f'{message.encoding} image of {height}x{width} with step '
                                     f'{step} has {len(data)} bytes, wanted {count * step}')
    return data.reshape(count, step)[:, :row_bytes]


def _buffer(data: Any, reason: str) -> np.ndarray:
    """View any contiguous buffer as (N,) uint8."""
    try:
        if memoryview(data).nbytes == 0:
            return np.empty(0, np.uint8)
        return np.frombuffer(data, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise FrameError(reason, f'image data is a {type(data).__name__} that is no plain buffer '
                                 f'of bytes: {error}') from error
