"""CamVid on small trees made here, by value."""
from __future__ import annotations

import cv2
import numpy as np
import pytest

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.sources.camvid import open_camvid

DRIVE = [f'0016E5_{number:05d}' for number in (7959, 7961, 7963, 7965)]


def make_tree(root, stems, split='val', size=(12, 16)):
    """Write a split; return its images (RGB) and truths by stem."""
    rng = np.random.default_rng(len(stems))
    made = {}
    for kind in ('images', 'labels'):
        (root / split / kind).mkdir(parents=True)
    for stem in stems:
        image = np.full((*size, 3), rng.integers(0, 256, 3), np.uint8)
        truth = rng.choice(np.array([*range(11), 255], np.uint8), size)
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(root / split / 'images' / f'{stem}.jpg'), bgr,
                    (cv2.IMWRITE_JPEG_QUALITY, 100))
        cv2.imwrite(str(root / split / 'labels' / f'{stem}.png'), truth)
        made[stem] = image, truth
    return made


def test_one_drive_is_a_stream(tmp_path):
    made = make_tree(tmp_path / 'a:b', DRIVE)       # the last colon separates
    source = open_source(f'camvid:{tmp_path}/a:b:val')
    assert (len(source), source.rate_hz, source.label_space.name) == (4, 15, 'camvid')
    for _ in range(2):
        frames = list(source)
        assert [frame.stamp_ns for frame in frames] == [
            265_300_000_000, 265_366_666_667, 265_433_333_333, 265_500_000_000]
        for frame, (image, truth) in zip(frames, made.values(), strict=True):
            np.testing.assert_array_equal(frame.truth, truth)
            assert np.abs(frame.image.astype(int) - image).max() <= 2      # JPEG


def test_several_drives_are_stamped_in_order(tmp_path):
    make_tree(tmp_path, ['0001TP_006690', '0006R0_00930', '0016E5_00390'], 'train')
    source = open_camvid(f'{tmp_path}:train')
    assert source.rate_hz == 15
    assert [frame.stamp_ns for frame in source] == [0, 66_666_667, 133_333_333]


@pytest.mark.parametrize('stems, stamps, rate', [
    (['x_9', 'x_10', 'x_12'], [300_000_000, 333_333_333, 400_000_000], 20),
    (['x_f9', 'x_f10'], [0, 66_666_667], 15),
    (['7', '30'], [233_333_333, 1_000_000_000], 30 / 23),
    (['x_30'], [0], 15),
])
def test_stamps_of_other_names(tmp_path, stems, stamps, rate):
    make_tree(tmp_path, stems)
    source = open_camvid(f'{tmp_path}:val')
    assert [frame.stamp_ns for frame in source] == stamps
    assert source.rate_hz == pytest.approx(rate)


def test_two_names_of_one_number(tmp_path):
    make_tree(tmp_path, ['x_9', 'x_09'])
    with pytest.raises(ConfigError, match="drive 'x' do not rise"):
        open_camvid(f'{tmp_path}:val')


@pytest.mark.parametrize('text', ['data', ':val', 'data:'])
def test_no_split(text):
    with pytest.raises(ConfigError, match='write camvid:ROOT:SPLIT'):
        open_camvid(text)


def test_missing_split_lists_what_is_there(tmp_path):
    make_tree(tmp_path, DRIVE)
    with pytest.raises(ConfigError, match='test/images is not there: .* holds val;'):
        open_camvid(f'{tmp_path}:test')
    with pytest.raises(ConfigError, match='holds nothing'):
        open_camvid(f'{tmp_path}/absent:test')


def test_missing_labels_folder(tmp_path):
    (tmp_path / 'val' / 'images').mkdir(parents=True)
    with pytest.raises(ConfigError, match='val/labels is not there'):
        open_camvid(f'{tmp_path}:val')


def test_unpaired_names(tmp_path):
    stems = [f'x_{index}' for index in range(8)]
    make_tree(tmp_path, [*stems, 'x_99'])
    (tmp_path / 'val' / 'images' / 'x_7.jpg').unlink()
    for stem in stems[:6]:
        (tmp_path / 'val' / 'labels' / f'{stem}.png').unlink()
    with pytest.raises(ConfigError, match=r'^7 names .*: x_0, x_1, x_2, x_3, x_4 \.\.\.; restore'):
        open_camvid(f'{tmp_path}:val')


def damage(content):
    def write(path):
        path.write_bytes(content)
    return write


def repaint(change):
    def write(path):
        cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))
    return write


def set_some(labels):
    labels[0, :3] = 11, 200, 11
    return labels


@pytest.mark.parametrize('kind, change, message', [
    ('labels', damage(b''), 'cannot be decoded'),
    ('labels', damage(b'no picture'), 'cannot be decoded'),
    ('labels', repaint(set_some), '3 pixels of value 11, 200, wanted ids of the label space or'),
    ('labels', repaint(lambda labels: labels[:-1]), 'is 11x16, its image is 12x16'),
    ('labels', repaint(lambda labels: cv2.merge([labels] * 3)), 'wanted one channel of 8 bits'),
    ('labels', repaint(lambda labels: labels.astype(np.uint16)), 'wanted one channel of 8 bits'),
    ('images', damage(b''), 'no sound JPEG or PNG'),
    ('images', repaint(lambda image: image[:, :-1]), 'is 12x16, its image is 12x15'),
])
def test_bad_file_is_named_when_it_is_read(tmp_path, kind, change, message):
    make_tree(tmp_path, DRIVE)
    change(next((tmp_path / 'val' / kind).glob(f'{DRIVE[1]}.*')))
    frames = iter(open_camvid(f'{tmp_path}:val'))
    next(frames)
    with pytest.raises(ConfigError, match=f'{DRIVE[1]}.*{message}'):
        next(frames)
