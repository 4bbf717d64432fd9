"""Prediction to files: what is written under which name, and what is never overwritten."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from frm_seg_ros import cli
from frm_seg_ros.core.draw import overlay
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Prediction
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.tools.predict import check_folder, open_input, predict
from frm_seg_ros.tools.video import count_frames, write_video

SPACE = LabelSpace.load('camvid')


class RedSegmenter:
    """Labels a pixel by its red part: 20 * train id."""

    label_space = SPACE

    def __call__(self, images: list[np.ndarray]) -> list[Prediction]:
        return [Prediction(image[:, :, 0] // 20) for image in images]

    def close(self) -> None:
        """Nothing is open."""


def write_image(path: Path, red: int) -> np.ndarray:
    """Write a PNG of 24x32 pixels with red over columns; give its RGB pixels."""
    image = np.zeros((24, 32, 3), np.uint8)
    image[:, :16, 0], image[..., 2] = red, 77
    cv2.imwrite(str(path), image[:, :, ::-1])
    return image


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


def test_a_folder_keeps_its_names_and_labels_are_exact(tmp_path: Path) -> None:
    (tmp_path / 'in').mkdir()
    images = {f'shot {n}': write_image(tmp_path / 'in' / f'shot {n}.png', 20 * n) for n in (3, 8)}
    out = tmp_path / 'out'
    assert predict(open_input(str(tmp_path / 'in')), RedSegmenter(), out) == 2
    assert names(out) == ['labels/shot 3.png', 'labels/shot 8.png', 'overlay/shot 3.jpg',
                          'overlay/shot 8.jpg']
    for name, image in images.items():
        labels = cv2.imread(str(out / 'labels' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(labels, image[:, :, 0] // 20)
        painted = cv2.imread(str(out / 'overlay' / f'{name}.jpg'))[:, :, ::-1]
        wanted = overlay(image, labels, SPACE, 0.5)
        assert np.abs(painted.astype(int) - wanted)[:, [5, 25]].max() < 8   # away from the edge


def test_names_that_are_not_unique_become_numbers(tmp_path: Path) -> None:
    (tmp_path / 'in').mkdir()
    write_image(tmp_path / 'in' / 'a.png', 20)
    cv2.imwrite(str(tmp_path / 'in' / 'a.jpg'), np.zeros((24, 32, 3), np.uint8))
    predict(open_input(str(tmp_path / 'in')), RedSegmenter(), tmp_path / 'out')
    assert names(tmp_path / 'out' / 'labels') == ['000000.png', '000001.png']


def test_a_video_that_ends_early_is_counted_as_it_is(tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / 'v.webm', [np.full((48, 64, 3), 90, np.uint8)] * 5, 10.0)
    source = open_input(str(tmp_path / 'v.webm'))
    monkeypatch.setattr(source, '_count', 8)    # as the container of a damaged file declares
    assert predict(source, RedSegmenter(), tmp_path / 'out') == 5
    assert len(names(tmp_path / 'out' / 'labels')) == 5


def test_a_bag_without_its_metadata_is_a_bag(tmp_path: Path) -> None:
    from frm_seg_ros.tools.make_bag import make_bag
    make_bag('synthetic:7:2', tmp_path / 'drive')
    (tmp_path / 'drive' / 'metadata.yaml').unlink()
    assert predict(open_input(str(tmp_path / 'drive')), RedSegmenter(), tmp_path / 'out') == 2


def test_a_single_image(tmp_path: Path) -> None:
    write_image(tmp_path / 'one.png', 40)
    assert predict(open_input(str(tmp_path / 'one.png')), RedSegmenter(), tmp_path / 'out') == 1
    assert names(tmp_path / 'out') == ['labels/one.png', 'overlay/one.jpg']


def test_a_video_is_numbered(tmp_path: Path) -> None:
    write_video(tmp_path / 'v.webm', [np.full((48, 64, 3), 40 * n, np.uint8) for n in range(5)],
                10.0)
    assert predict(open_input(str(tmp_path / 'v.webm')), RedSegmenter(), tmp_path / 'out') == 5
    assert names(tmp_path / 'out' / 'labels') == [f'00000{n}.png' for n in range(5)]


def test_a_bag_is_found_by_its_metadata(tmp_path: Path) -> None:
    make_bag = pytest.importorskip('frm_seg_ros.tools.make_bag', reason='rosbags is missing')
    (tmp_path / 'in').mkdir()
    image = write_image(tmp_path / 'in' / 'a.png', 60)
    make_bag.make_bag(f'images:{tmp_path / "in"}', tmp_path / 'bag')
    assert predict(open_input(str(tmp_path / 'bag')), RedSegmenter(), tmp_path / 'out') == 1
    labels = cv2.imread(str(tmp_path / 'out' / 'labels' / '000000.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(labels, image[:, :, 0] // 20)


@pytest.mark.parametrize('force', [False, True])
def test_only_force_writes_into_a_filled_folder(tmp_path: Path, force: bool,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Segmenter, 'open', lambda *args: RedSegmenter())
    write_image(tmp_path / 'one.png', 40)
    out = tmp_path / 'out'
    (out / 'labels').mkdir(parents=True)
    (out / 'labels' / 'other.txt').write_text('kept')
    line = ['predict', str(tmp_path / 'one.png'), '--out', str(out), *['--force'] * force]
    assert cli.main(line) == (0 if force else 2)
    assert (out / 'labels' / 'other.txt').read_text() == 'kept'
    assert (out / 'labels' / 'one.png').exists() == force


def test_an_interrupted_run_leaves_only_whole_files(tmp_path: Path) -> None:
    class Stops(RedSegmenter):
        def __call__(self, images: list[np.ndarray]) -> list[Prediction]:
            if images[0][0, 0, 0] == 40:
                raise KeyboardInterrupt
            return super().__call__(images)

    (tmp_path / 'in').mkdir()
    for index in (1, 2, 3):
        write_image(tmp_path / 'in' / f'{index}.png', 20 * index)
    with pytest.raises(KeyboardInterrupt):
        predict(open_input(str(tmp_path / 'in')), Stops(), tmp_path / 'out')
    assert names(tmp_path / 'out') == ['labels/1.png', 'overlay/1.jpg']


@pytest.mark.parametrize('text, words', [
    ('no/such/folder', 'there is no no/such/folder'),
    ('images:no/such/folder', 'no/such/folder'),
])
def test_input_that_is_not_there(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_input(text)


def test_a_file_is_no_folder_for_results(tmp_path: Path) -> None:
    (tmp_path / 'f').write_text('')
    with pytest.raises(ConfigError, match='is a file'):
        check_folder(tmp_path / 'f', force=True)


def test_video_has_every_frame_at_its_rate_and_colour(tmp_path: Path) -> None:
    frames = [np.full((301, 720, 3), (200, 30, 10 * n), np.uint8) for n in range(12)]
    assert write_video(tmp_path / 'v.webm', iter(frames), 12.5) == 12
    assert count_frames(tmp_path / 'v.webm') == 12
    capture = cv2.VideoCapture(str(tmp_path / 'v.webm'))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    assert int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, 'little') == b'VP90'
    _, first = capture.read()
    assert first.shape == (150, 360, 3)
    assert np.abs(first[:, :, ::-1].mean((0, 1)) - (200, 30, 0)).max() < 6
    assert [path.name for path in tmp_path.iterdir()] == ['v.webm']


@pytest.mark.parametrize('frames, words', [
    ([], 'no image'),
    ([np.zeros((48, 64, 3), np.uint8), np.zeros((48, 32, 3), np.uint8)], 'image 2 .*one size'),
])
def test_videos_that_cannot_be(tmp_path: Path, frames: list[np.ndarray], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        write_video(tmp_path / 'v.webm', frames, 10.0)
    assert not list(tmp_path.iterdir())
