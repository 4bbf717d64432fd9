"""Folders of images and videos, by value."""
from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.sources.images import natural, open_images


def flat(index, size=(48, 64)):
    """Make an image of one colour (RGB) that tells the index."""
    return np.full((*size, 3), (20 + 20 * index, 200 - 20 * index, 40), np.uint8)


def write(path, image):
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def test_folder_in_natural_order(tmp_path):
    for index, name in enumerate(['a9.png', 'a10.png', 'a11.PNG', 'b1.png']):
        write(tmp_path / name, flat(index, (8 + index, 9)))
    (tmp_path / 'notes.txt').write_text('no image')
    (tmp_path / '.hidden.png').write_text('no image')
    source = open_source(f'images:{tmp_path}')
    assert (len(source), source.rate_hz, source.label_space) == (4, 10, None)
    for _ in range(2):
        frames = list(source)
        assert [frame.stamp_ns for frame in frames] == [0, 10**8, 2 * 10**8, 3 * 10**8]
        for index, frame in enumerate(frames):
            np.testing.assert_array_equal(frame.image, flat(index, (8 + index, 9)))
            assert frame.truth is None


def test_jpeg_keeps_the_order_of_colours(tmp_path):
    write(tmp_path / 'a.jpg', flat(3))
    write(tmp_path / 'b.jpeg', flat(4))
    for index, frame in enumerate(open_images(str(tmp_path)), 3):
        assert np.abs(frame.image.astype(int) - flat(index)).max() <= 3


@pytest.mark.parametrize('names', [['f2', 'f10'], ['2', '10', 'a'], ['a1b2', 'a1b10', 'a2b1'],
                                   ['007', '8', '010']])
def test_natural(names):
    assert sorted(reversed(names), key=natural) == names


@pytest.mark.parametrize('suffix, code', [('.avi', 'MJPG'), ('.mp4', 'mp4v'), ('.webm', 'VP80')])
def test_video(tmp_path, suffix, code):
    path = tmp_path / f'drive{suffix}'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, (64, 48))
    if not writer.isOpened():
        pytest.skip(f'this OpenCV cannot write {code}')
    for index in range(6):
        writer.write(cv2.cvtColor(flat(index), cv2.COLOR_RGB2BGR))
    writer.release()
    source = open_images(str(path))
    assert (len(source), source.rate_hz) == (6, 25)
    for _ in range(2):
        frames = list(source)
        assert [frame.stamp_ns for frame in frames] == [index * 40_000_000 for index in range(6)]
        for index, frame in enumerate(frames):
            difference = frame.image.reshape(-1, 3).mean(0) - flat(index)[0, 0]
            assert np.abs(difference).max() < 12, index     # lossy; neighbours differ by 20


def test_uneven_gaps_of_a_video_are_kept(tmp_path):
    """As phones write them: three frames 100 ms apart, then three 400 ms apart."""
    path = tmp_path / 'phone.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10, (64, 48))
    for index in range(6):
        writer.write(flat(index))
    writer.release()
    content = bytearray(path.read_bytes())
    # ISO 14496-12: stts holds (count, distance) of samples; its one row becomes two, 8 bytes more
    # in it and in all boxes around it. They lie behind the frames, whose places stay. The edit
    # list, which would cut the longer video, becomes a box that is skipped.
    place = content.index(b'stts')
    rows, count, distance = struct.unpack('>III', content[place + 8:place + 20])
    assert (rows, count) == (1, 6) and content.index(b'mdat') < content.index(b'moov')
    content[place + 8:place + 20] = struct.pack('>IIIII', 2, 3, distance, 3, 4 * distance)
    for box in (b'moov', b'trak', b'mdia', b'minf', b'stbl', b'stts'):
        start = content.index(box) - 4
        (size,) = struct.unpack('>I', content[start:start + 4])
        content[start:start + 4] = struct.pack('>I', size + 8)
    path.write_bytes(content.replace(b'edts', b'free'))
    frames = list(open_images(str(path)))
    assert [frame.stamp_ns // 10**6 for frame in frames] == [0, 100, 200, 300, 700, 1100]


def test_video_cut_off(tmp_path, caplog):
    path = tmp_path / 'drive.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 25, (64, 48))
    for index in range(40):
        writer.write(flat(index % 9))
    writer.release()
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    source = open_images(str(path))
    count = len(list(source))
    assert 0 < count < 40
    assert f'ends after {count} of 40 frames' in caplog.text


@pytest.mark.parametrize('name, content, message', [
    ('absent', None, 'absent is not there'),
    ('a.txt', b'x', r'a\.txt is no video'),
    ('a.mp4', b'', 'no video that OpenCV can open'),
    ('a.webm', b'x' * 5000, 'no video that OpenCV can open'),
])
def test_what_is_no_source(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        open_images(str(tmp_path / name))


def test_empty_folder(tmp_path):
    with pytest.raises(ConfigError, match='holds no image'):
        open_images(str(tmp_path))


@pytest.mark.parametrize('content', [b'', b'no picture', b'\xff\xd8\xff\xe0 cut'])
def test_damaged_image(tmp_path, content):
    write(tmp_path / '1.png', flat(0))
    (tmp_path / '2.jpg').write_bytes(content)
    frames = iter(open_images(str(tmp_path)))
    next(frames)
    with pytest.raises(ConfigError, match=r'2\.jpg.*restore or remove'):
        next(frames)
