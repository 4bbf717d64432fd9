"""What the data sets of file pairs share, on trees made here."""
from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from data_trees import write_picture

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.pairs import FramePairs, find_files, missing, pair_up, split_text
from frm_seg_ros.sources.truth import read_truth

SPACE = LabelSpace.load('camvid')


def make_pairs(folder, truths):
    """Write one pair for each truth, its image filled with its number; open them."""
    pairs = []
    for number, truth in enumerate(truths):
        image = np.full((4, 6, 3), number, np.uint8)
        pairs.append((write_picture(folder / f'{number}.png', image),
                      write_picture(folder / f'{number}_truth.png', truth)))
    return FramePairs(pairs, SPACE, partial(read_truth, space=SPACE))


def flat(value, size=(4, 6)):
    return np.full(size, value, np.uint8)


def test_frames_in_order_and_by_number(tmp_path):
    source = make_pairs(tmp_path, [flat(3), flat(255), flat(10)])
    assert (len(source), source.rate_hz, source.label_space) == (3, 10, SPACE)
    for frames in (list(source), [source.frame(index) for index in range(3)]):
        assert [frame.image.mean() for frame in frames] == [0, 1, 2]
        assert [frame.truth.tolist() for frame in frames] == [
            flat(value).tolist() for value in (3, 255, 10)]
        assert [frame.stamp_ns for frame in frames] == [0, 10**8, 2 * 10**8]


def test_check_counts_the_pixels_and_tells_its_progress(tmp_path):
    half = flat(3)
    half[:2] = 255
    source, told = make_pairs(tmp_path, [half, flat(3), flat(9)]), []
    wanted = np.zeros(256, int)
    wanted[[3, 9, 255]] = 12 + 24, 24, 12
    np.testing.assert_array_equal(source.check(lambda *done: told.append(done)), wanted)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_check_tells_of_all_bad_frames_at_once(tmp_path):
    source = make_pairs(tmp_path, [flat(3), flat(77), flat(3, (4, 5)), flat(3), flat(3), flat(88)])
    source.files[3].write_bytes(b'no picture')
    source.truths[4].unlink()
    with pytest.raises(ConfigError) as caught:
        source.check()
    text = str(caught.value)
    assert text.startswith('5 of 6 frames cannot be used: ')
    assert text.endswith('; and 2 more')
    for words in ('1_truth.png has 24 pixels of value 77', '2_truth.png is 4x5, its image is 4x6',
                  '3.png (10 bytes) is no sound JPEG or PNG'):
        assert words in text
    source.files[3:], source.truths[3:] = source.files[:2], source.truths[:2]
    with pytest.raises(ConfigError, match=r'^3 of 5 frames .* of value 77.*value 77[^;]*$'):
        source.check()


def test_an_orientation_in_a_file_turns_no_image_away_from_its_truth(tmp_path):
    """EXIF orientation 6 (turn by 90 degrees): the label image has the size of the stored one."""
    source = make_pairs(tmp_path, [flat(3)])
    jpeg = write_picture(tmp_path / 'turned.jpg', np.zeros((4, 6, 3), np.uint8))
    exif = (b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0')
    content = jpeg.read_bytes()
    jpeg.write_bytes(content[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif
                     + content[2:])
    source.files = [jpeg]
    assert source.frame(0).image.shape == (4, 6, 3)


def test_find_files(tmp_path):
    for name in ('b/x_10_L.png', 'b/x_9_L.PNG', 'a/y_L.png', 'a/y.png', 'z_L.png', 'a/._y_L.png'):
        write_picture(tmp_path / name, flat(0))
    found = find_files(tmp_path, '*/*', '_l.png')
    assert list(found) == ['a/y', 'b/x_9', 'b/x_10']
    assert found['b/x_9'] == tmp_path / 'b' / 'x_9_L.PNG'
    assert list(find_files(tmp_path, '*', '.jpg', '_l.png')) == ['z']
    assert find_files(tmp_path / 'absent', '*', '.png') == {}


def test_pair_up(tmp_path):
    images = {name: tmp_path / f'{name}.jpg' for name in ('b', 'a')}
    truths = {name: tmp_path / f'{name}.png' for name in ('a', 'b')}
    assert pair_up(images, truths, tmp_path) == [
        (images['b'], truths['b']), (images['a'], truths['a'])]
    truths['c'] = truths.pop('a')
    with pytest.raises(ConfigError, match=r'^2 names in .* without .*: a, c; restore'):
        pair_up(images, truths, tmp_path)


def test_missing_tells_what_the_nearest_folder_holds(tmp_path):
    (tmp_path / 'train').mkdir()
    assert f'{tmp_path / "val" / "x"} is not there: {tmp_path} holds train; wanted W' == str(
        missing(tmp_path / 'val' / 'x', 'W'))
    assert str(missing(tmp_path / 'train', 'W')).endswith('train holds nothing; wanted W')


@pytest.mark.parametrize('text', ['data', ':val', 'data:'])
def test_no_split(text):
    with pytest.raises(ConfigError, match='write bdd100k:ROOT:SPLIT'):
        split_text(text, 'bdd100k')
