"""Conversions of image messages, by value against slow twins written from the definitions."""
from __future__ import annotations

import array
import subprocess
import sys
from itertools import product
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from frm_seg_ros.core.encodings import (
    ENCODINGS,
    MAX_PIXELS,
    compressed_to_rgb,
    decode_picture,
    fill_image,
    to_mono,
    to_rgb,
)
from frm_seg_ros.core.errors import FrameError


def make_message(encoding, height, width, step=None, data=None, pixel_bytes=1, rows=None,
                 is_bigendian=0, seed=0):
    """Make an image message of random bytes; padding included in what is random."""
    step = width * pixel_bytes if step is None else step
    if data is None:
        count = (height if rows is None else rows) * step
        data = np.random.default_rng(seed).integers(0, 256, count, np.uint8).tobytes()
    return SimpleNamespace(height=height, width=width, encoding=encoding, step=step, data=data,
                           is_bigendian=is_bigendian)


def twin(message, pixel):
    """Convert pixel by pixel: `pixel(row bytes, x)` gives (r, g, b)."""
    out = np.empty((message.height, message.width, 3), np.uint8)
    for y, x in product(range(message.height), range(message.width)):
        out[y, x] = pixel(message.data[y * message.step:(y + 1) * message.step], x)
    return out


PACKED = {
    'rgb8': (3, lambda row, x: (row[3 * x], row[3 * x + 1], row[3 * x + 2])),
    'bgr8': (3, lambda row, x: (row[3 * x + 2], row[3 * x + 1], row[3 * x])),
    '8UC3': (3, lambda row, x: (row[3 * x + 2], row[3 * x + 1], row[3 * x])),
    'rgba8': (4, lambda row, x: (row[4 * x], row[4 * x + 1], row[4 * x + 2])),
    'bgra8': (4, lambda row, x: (row[4 * x + 2], row[4 * x + 1], row[4 * x])),
    '8UC4': (4, lambda row, x: (row[4 * x + 2], row[4 * x + 1], row[4 * x])),
    'mono8': (1, lambda row, x: (row[x],) * 3),
    '8UC1': (1, lambda row, x: (row[x],) * 3),
}


@pytest.mark.parametrize('padding', [0, 1, 13])
@pytest.mark.parametrize('encoding', PACKED)
def test_packed_pixels(encoding, padding):
    pixel_bytes, pixel = PACKED[encoding]
    message = make_message(encoding, 5, 7, 7 * pixel_bytes + padding, pixel_bytes=pixel_bytes)
    np.testing.assert_array_equal(to_rgb(message), twin(message, pixel))


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('big', [0, 1])
def test_mono16_of_every_value_rounds_to_nearest(big, padding):
    values = np.arange(65536, dtype='>u2' if big else '<u2').reshape(256, 256)
    rows = np.pad(values.view(np.uint8), ((0, 0), (0, padding)))
    message = make_message('mono16', 256, 256, 512 + padding, rows.tobytes(), is_bigendian=big)
    wanted = (np.arange(65536).reshape(256, 256, 1) + 128) // 257
    np.testing.assert_array_equal(to_rgb(message), np.repeat(wanted, 3, 2))


def from_yuv(y, u, v):
    """Convert by ITU-R BT.601, limited range; what is below black is black."""
    y = max(y, 16)
    red = 1.164 * (y - 16) + 1.596 * (v - 128)
    green = 1.164 * (y - 16) - 0.813 * (v - 128) - 0.392 * (u - 128)
    blue = 1.164 * (y - 16) + 2.017 * (u - 128)
    return tuple(np.clip(np.rint((red, green, blue)), 0, 255))


def uyvy(row, x):
    start = x // 2 * 4
    return from_yuv(row[start + 1 + x % 2 * 2], row[start], row[start + 2])


def yuyv(row, x):
    start = x // 2 * 4
    return from_yuv(row[start + x % 2 * 2], row[start + 1], row[start + 3])


def assert_within_one(found, wanted):
    """Allow for the three digits of the published coefficients."""
    assert np.abs(found.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding, pixel', [('yuv422', uyvy), ('uyvy', uyvy),
                                             ('yuv422_yuy2', yuyv), ('yuyv', yuyv)])
def test_yuv422(encoding, pixel, padding):
    message = make_message(encoding, 5, 8, 16 + padding)
    assert_within_one(to_rgb(message), twin(message, pixel))


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('encoding, u, v', [('nv12', 0, 1), ('nv21', 1, 0)])
def test_nv(encoding, u, v, padding):
    message = make_message(encoding, 6, 8, 8 + padding, rows=9)
    planes = np.frombuffer(message.data, np.uint8).reshape(9, 8 + padding)
    wanted = np.array([[from_yuv(int(planes[y, x]), int(planes[6 + y // 2, x // 2 * 2 + u]),
                                 int(planes[6 + y // 2, x // 2 * 2 + v])) for x in range(8)]
                       for y in range(6)])
    assert_within_one(to_rgb(message), wanted)


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_is_the_mean_of_the_nearest_samples(pattern, padding):
    height, width = 7, 10
    message = make_message(f'bayer_{pattern}8', height, width, width + padding)
    mosaic = np.frombuffer(message.data, np.uint8).reshape(height, -1).astype(int)
    found = to_rgb(message).astype(int)
    for y, x, color in product(range(1, height - 1), range(1, width - 1), 'rgb'):
        around = sorted((abs(dy) + abs(dx), mosaic[y + dy, x + dx])
                        for dy, dx in product((-1, 0, 1), (-1, 0, 1))
                        if pattern[(y + dy) % 2 * 2 + (x + dx) % 2] == color)
        nearest = [value for distance, value in around if distance == around[0][0]]
        assert abs(found[y, x, 'rgb'.index(color)] - np.mean(nearest)) <= 0.5, (y, x, color)


def test_rgb8_is_a_view():
    data = np.zeros(4 * 10, np.uint8)
    image = to_rgb(make_message('rgb8', 4, 3, 10, data))
    data[13] = 9
    assert image[1, 1, 0] == 9 and image.strides == (10, 3, 1)


@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_to_mono_is_a_view(encoding):
    data = np.arange(40, dtype=np.uint8)
    labels = to_mono(make_message(encoding, 4, 7, 10, data))
    np.testing.assert_array_equal(labels, data.reshape(4, 10)[:, :7])
    assert np.shares_memory(labels, data)


@pytest.mark.parametrize('change, reason', [
    ({'encoding': 'rgb8'}, 'bad_encoding'), ({'height': 0}, 'bad_size'),
    ({'step': 6}, 'bad_step'), ({'data': bytes(27)}, 'bad_data')])
def test_to_mono_refuses(change, reason):
    message = make_message('mono8', 4, 7)
    vars(message).update(change)
    with pytest.raises(FrameError) as caught:
        to_mono(message)
    assert caught.value.reason == reason


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview, lambda b: array.array('B', b),
                                  lambda b: array.array('H', b),
                                  lambda b: np.frombuffer(b, np.uint8)])
def test_every_buffer_is_taken(kind):
    message = make_message('rgb8', 4, 6, pixel_bytes=3)
    wanted = np.frombuffer(message.data, np.uint8).reshape(4, 6, 3)
    message.data = kind(message.data)
    np.testing.assert_array_equal(to_rgb(message), wanted)


@pytest.mark.parametrize('change, reason', [
    ({'height': 0}, 'bad_size'),
    ({'width': 0}, 'bad_size'),
    ({'height': 2**32 - 1, 'width': 2**32 - 1}, 'bad_size'),
    ({'height': np.uint32(2**31), 'width': np.uint32(2)}, 'bad_size'),
    ({'height': 1, 'width': MAX_PIXELS + 1}, 'bad_size'),
    ({'encoding': '32FC1'}, 'bad_encoding'),
    ({'encoding': ''}, 'bad_encoding'),
    ({'step': 0}, 'bad_step'),
    ({'step': 17}, 'bad_step'),
    ({'step': 19}, 'bad_data'),
    ({'step': 2**32 - 1}, 'bad_data'),
    ({'step': np.uint32(2**30)}, 'bad_data'),
    ({'height': 5}, 'bad_data'),
    ({'data': b''}, 'bad_data'),
    ({'data': bytes(71)}, 'bad_data'),
    ({'data': bytes(73)}, 'bad_data'),
    ({'data': None}, 'bad_data'),
    ({'data': [0] * 72}, 'bad_data'),
    ({'data': np.zeros((72, 2), np.uint8)[:, 0]}, 'bad_data'),
    ({'encoding': 'yuv422', 'width': 7, 'step': 18}, 'bad_size'),
    ({'encoding': 'yuv422', 'width': 10}, 'bad_step'),
    ({'encoding': 'nv12', 'height': 3}, 'bad_size'),
    ({'encoding': 'nv21', 'width': 5}, 'bad_size'),
    ({'encoding': 'nv12'}, 'bad_data'),
    ({'encoding': 'bayer_rggb8', 'height': 2}, 'bad_size'),
    ({'encoding': 'mono16', 'width': 10}, 'bad_step'),
])
def test_bad_message(change, reason):
    message = make_message('rgb8', 4, 6, pixel_bytes=3)
    to_rgb(message)
    vars(message).update(change)
    with pytest.raises(FrameError) as caught:
        to_rgb(message)
    assert caught.value.reason == reason
    if reason == 'bad_encoding':
        assert repr(message.encoding) in str(caught.value)


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_any_mutation_gives_an_image_or_a_frame_error(encoding):
    rng = np.random.default_rng(ENCODINGS.index(encoding))
    sizes = np.array([0, 1, 2, 3, 4, 5, 7, 2**16, 2**31, 2**32 - 1])
    for _ in range(300):
        height, width, step = (int(value) for value in rng.choice(sizes, 3))
        message = make_message(encoding, height, width, step,
                               bytes(int(rng.integers(0, 60))), is_bigendian=int(rng.integers(2)))
        if rng.random() < 0.7 and max(height, width, step) < 100:
            message.data = bytes(step * (height + height // 2 * (encoding[:2] == 'nv')))
        try:
            image = to_rgb(message)
        except FrameError:
            continue
        assert image.shape == (height, width, 3) and image.dtype == np.uint8


def smooth_image(height=48, width=64):
    noise = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 6), None, 0, 255, cv2.NORM_MINMAX)


def compress(extension, image=None, flags=()):
    """Encode RGB; return the message."""
    image = smooth_image() if image is None else image
    image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    ok, data = cv2.imencode(extension, image, flags)
    assert ok
    return SimpleNamespace(format=extension[1:], data=data.tobytes())


@pytest.mark.parametrize('text', ['png', 'rgb8; png compressed bgr8', 'jpeg', ''])
def test_png_exact_whatever_the_format_says(text):
    message = compress('.png')
    message.format = text
    np.testing.assert_array_equal(compressed_to_rgb(message), smooth_image())


@pytest.mark.parametrize('flags', [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
                                   (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)])
@pytest.mark.parametrize('text', ['jpeg', 'jpg', 'bgr8; jpeg compressed bgr8'])
def test_jpeg_within_its_loss(text, flags):
    message = compress('.jpg', flags=(cv2.IMWRITE_JPEG_QUALITY, 95, *flags))
    message.format = text
    difference = compressed_to_rgb(message).astype(int) - smooth_image()
    assert np.abs(difference).mean() < 3     # colour is stored at half resolution; BGR gives > 30


@pytest.mark.parametrize('image, wanted', [
    (np.full((4, 6), 77, np.uint8), 77),
    (np.full((4, 6), 77 * 256 + 3, np.uint16), 77),
])
def test_grey_and_16_bit_png(image, wanted):
    found = compressed_to_rgb(compress('.png', image))
    np.testing.assert_array_equal(found, np.full((4, 6, 3), wanted, np.uint8))


def test_orientation_in_the_file_is_not_applied():
    message = compress('.jpg', smooth_image(16, 32))
    exif = (b'Exif\0\0II*\0\x08\0\0\0' b'\x01\0' b'\x12\x01\x03\0\x01\0\0\0\x06\0\0\0' b'\0\0\0\0')
    segment = b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif
    message.data = message.data[:2] + segment + message.data[2:]
    assert cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR).shape[0] == 32
    assert compressed_to_rgb(message).shape == (16, 32, 3)
    assert decode_picture(message.data, 'photo', upright=True).shape == (32, 16, 3)


@pytest.mark.parametrize('extension', ['.png', '.jpg'])
def test_cut_off_anywhere(extension):
    data = compress(extension).data
    for length in range(len(data) - 1):
        with pytest.raises(FrameError) as caught:
            compressed_to_rgb(SimpleNamespace(format='jpeg', data=data[:length]))
        assert caught.value.reason == 'bad_compressed'


def test_png_with_any_byte_changed():
    data = compress('.png').data
    for place in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(FrameError, match='format .*png'):
            compressed_to_rgb(SimpleNamespace(format='png', data=bytes(damaged)))


def test_jpeg_with_any_byte_changed_is_an_image_or_refused():
    data = compress('.jpg').data
    for place in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        try:
            image = compressed_to_rgb(SimpleNamespace(format='jpeg', data=bytes(damaged)))
        except FrameError as error:
            assert error.reason == 'bad_compressed'
        else:
            assert image.ndim == 3 and image.dtype == np.uint8


def test_declared_size_is_checked_before_decoding(monkeypatch):
    message = compress('.jpg')
    place = message.data.index(b'\xff\xc0') + 5
    message.data = message.data[:place] + b'\xff\xff\xff\xff' + message.data[place + 4:]
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('it was decoded'))
    with pytest.raises(FrameError, match='65535x65535'):
        compressed_to_rgb(message)


def test_jpeg_without_its_end_is_not_decoded(monkeypatch):
    """Some versions of OpenCV fill what is missing with grey."""
    message = compress('.jpg')
    message.data = message.data[:-2]
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('it was decoded'))
    with pytest.raises(FrameError, match='it is cut off'):
        compressed_to_rgb(message)


@pytest.mark.parametrize('data', [b'', b'GIF89a' * 9, bytes(100), None, [1, 2]])
def test_no_picture_at_all(data):
    with pytest.raises(FrameError) as caught:
        compressed_to_rgb(SimpleNamespace(format='x' * 5000, data=data))
    assert caught.value.reason == 'bad_compressed' and len(str(caught.value)) < 300


@pytest.mark.parametrize('encoding, shape', [('rgb8', (5, 7, 3)), ('bgr8', (5, 7, 3)),
                                             ('mono8', (5, 7))])
def test_fill_image(encoding, shape):
    wide = np.random.default_rng(1).integers(0, 256, (5, 9, *shape[2:]), np.uint8)
    image, message = wide[:, 1:8], SimpleNamespace(header='kept')
    fill_image(message, image, encoding)
    assert isinstance(message.data, array.array) and message.data.typecode == 'B'
    assert (message.height, message.width, message.encoding) == (5, 7, encoding)
    assert (message.step, message.is_bigendian, message.header) == (image[0].size, 0, 'kept')
    found = to_rgb(message)
    rgb = {'rgb8': image, 'bgr8': image[..., ::-1], 'mono8': np.stack([image] * 3, -1)}[encoding]
    np.testing.assert_array_equal(found, rgb)


@pytest.mark.parametrize('encoding, image', [
    ('rgb8', np.zeros((5, 7), np.uint8)), ('mono8', np.zeros((5, 7, 3), np.uint8)),
    ('mono8', np.zeros((5, 7), np.uint16)), ('rgb8', np.zeros((5, 7, 4), np.uint8)),
    ('mono8', np.zeros(5, np.uint8)), ('mono8', np.zeros((0, 5), np.uint8))])
def test_fill_image_refuses(encoding, image):
    with pytest.raises(ValueError, match=f'{encoding} wants uint8'):
        fill_image(SimpleNamespace(), image, encoding)


def test_fill_image_on_a_real_message():
    image_type = pytest.importorskip('sensor_msgs.msg', reason='needs sensor_msgs').Image
    message, image = image_type(), np.arange(105, dtype=np.uint8).reshape(5, 7, 3)
    fill_image(message, image, 'rgb8')
    np.testing.assert_array_equal(to_rgb(message), image)


def test_same_as_cv_bridge():
    """Compare with the C++ cv_bridge of a ROS installation."""
    probe = ('import numpy as np; from cv_bridge import CvBridge; b = CvBridge(); '
             'b.imgmsg_to_cv2(b.cv2_to_imgmsg(np.zeros((4, 4, 3), np.uint8), "bgr8"), "rgb8")')
    result = subprocess.run([sys.executable, '-c', probe], check=False, capture_output=True,
                            text=True)
    if result.returncode:   # in a process of its own, since it can crash under another numpy
        pytest.skip(f'no working cv_bridge: {result.stderr.strip().splitlines()[-1:]}')
    from cv_bridge import CvBridge
    from sensor_msgs.msg import Image
    bytes_of = {**{name: PACKED[name][0] for name in PACKED if 'UC' not in name},
                'mono16': 2, 'yuv422': 2, 'yuv422_yuy2': 2, 'bayer_rggb8': 1, 'bayer_bggr8': 1,
                'bayer_gbrg8': 1, 'bayer_grbg8': 1}
    for encoding, pixel_bytes in bytes_of.items():
        fields = vars(make_message(encoding, 6, 8, 8 * pixel_bytes + 4, pixel_bytes=pixel_bytes))
        message = Image(**{**fields, 'data': array.array('B', fields['data'])})
        np.testing.assert_array_equal(
            to_rgb(message), CvBridge().imgmsg_to_cv2(message, 'rgb8'), err_msg=encoding)
