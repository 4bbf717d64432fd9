"""Synthetic source: reproducible, continuous, covering all classes, and not solved by colour."""
from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import pytest

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.sources.synthetic import TRAINING_SEED, open_synthetic, render_scene

CLASSES = 11
DEMO_SEEDS = range(1000)


def _hash(frame: Frame) -> str:
    return hashlib.sha256(frame.image.tobytes() + frame.truth.tobytes()).hexdigest()


@cache
def _scenes(first: int, count: int) -> list[Frame]:
    return [render_scene(first + index) for index in range(count)]


@cache
def _drive(seed: int, count: int) -> list[Frame]:
    return list(open_synthetic(f'{seed}:{count}'))


def _shares(frames: list[Frame]) -> np.ndarray:
    counts = sum(np.bincount(frame.truth.ravel(), minlength=256) for frame in frames)
    return counts / counts.sum()


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Give IoU by class, nan where neither has it."""
    counts = np.bincount(a.ravel().astype(int) * CLASSES + b.ravel(), minlength=CLASSES ** 2)
    matrix = counts.reshape(CLASSES, CLASSES)
    hit = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - hit
    return np.where(union > 0, hit / np.maximum(union, 1), np.nan)


def test_same_seed_gives_same_bytes() -> None:
    first = [_hash(frame) for frame in open_synthetic('3:4')]
    scene = _hash(render_scene(TRAINING_SEED + 5))
    list(open_synthetic('8:2'))
    render_scene(TRAINING_SEED + 9)
    source = open_synthetic('3:6')
    assert [_hash(frame) for frame in source][:4] == first
    assert [_hash(frame) for frame in source][:4] == first, 'a second pass differs'
    assert _hash(render_scene(TRAINING_SEED + 5)) == scene
    assert len(set(first)) == 4


def test_seeds_differ() -> None:
    assert len({_hash(frame) for frame in _scenes(TRAINING_SEED, 10)}) == 10
    assert _hash(_drive(3, 2)[0]) != _hash(_drive(4, 2)[0])


def test_frames_have_the_promised_form() -> None:
    source = open_source('synthetic:5:3')
    frames = list(source)
    assert len(source) == len(frames) == 3
    assert source.rate_hz == 10.0
    assert source.label_space.name == 'camvid'
    assert [frame.stamp_ns for frame in frames] == [0, 100_000_000, 200_000_000]
    for frame in [*frames, render_scene(TRAINING_SEED)]:
        assert frame.image.shape == (360, 480, 3) and frame.image.dtype == np.uint8
        assert frame.truth.shape == (360, 480) and frame.truth.dtype == np.uint8
        assert frame.truth.max() < CLASSES


def test_every_class_has_its_share() -> None:
    least = [0.06, 0.1, 0.006, 0.2, 0.02, 0.03, 0.003, 0.004, 0.02, 0.004, 0.003]
    shares = _shares(_scenes(TRAINING_SEED, 60))
    assert (shares[:CLASSES] >= least).all(), shares[:CLASSES].round(4)


def test_drives_show_most_classes() -> None:
    seen = [(_shares(_drive(seed, 20))[:CLASSES] > 2e-4).sum() for seed in (3, 4)]
    assert min(seen) >= 9, seen


def test_a_drive_is_continuous() -> None:
    frames = _drive(3, 20)
    near = [np.nanmean(_iou(a.truth, b.truth)) for a, b in zip(frames, frames[1:])]
    far = np.nanmean(_iou(frames[0].truth, frames[19].truth))
    agree = [(a.truth == b.truth).mean() for a, b in zip(frames, frames[1:])]
    assert min(near) > 0.55 and np.mean(near) > far + 0.2, (min(near), far)
    assert min(agree) > 0.9

    def change(a: Frame, b: Frame) -> float:
        return float(np.abs(a.image.astype(int) - b.image).mean())

    steps = [change(a, b) for a, b in zip(frames, frames[1:])]
    assert np.mean(steps) < 0.8 * change(frames[0], frames[19])


def test_a_drive_moves_on() -> None:
    frames = [_drive(3, 20)[0], _drive(3, 20)[19]]
    building, sky = 1, 0
    outlines = [np.isin(frame.truth, (building, sky)) * (frame.truth + 1) for frame in frames]
    assert (outlines[0] != outlines[1]).mean() > 0.1


def _cells(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Give each pixel's cell of (R, G, B, place) and of place alone, flat."""
    levels = (frame.image >> 5).astype(np.int64)
    color = (levels[..., 0] * 8 + levels[..., 1]) * 8 + levels[..., 2]
    rows, columns = np.mgrid[:360, :480]
    place = rows // 20 * 8 + columns // 60
    return (color * 144 + place).ravel(), place.ravel()


def _pixel_classifier_miou() -> float:
    """Score the histogram Bayes classifier on (R, G, B, row, column) on demo drives."""
    joint = np.zeros((512 * 144, CLASSES))
    place = np.zeros((144, CLASSES))
    for frame in _scenes(TRAINING_SEED, 60):
        cell, spot = _cells(frame)
        truth = frame.truth.ravel()
        joint += np.bincount(cell * CLASSES + truth, minlength=joint.size).reshape(joint.shape)
        place += np.bincount(spot * CLASSES + truth, minlength=place.size).reshape(place.shape)
    prior = place / place.sum(1, keepdims=True)
    winner = (joint + 2 * np.tile(prior, (512, 1))).argmax(1)
    frames = [frame for seed in (3, 4) for frame in _drive(seed, 20)]
    truth = np.concatenate([frame.truth.ravel() for frame in frames])
    guess = np.concatenate([winner[_cells(frame)[0]] for frame in frames])
    return float(np.nanmean(_iou(truth, guess)))


def test_color_and_place_do_not_solve_it() -> None:
    miou = _pixel_classifier_miou()
    assert 0.1 < miou < 0.45, miou


@pytest.mark.parametrize('text', ['x:3', '1:0', '-1:3', '1:-3', '1', '1:2:3', '1.5:2', '²:3'])
def test_bad_arguments_are_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match='synthetic:SEED:COUNT') as caught:
        open_source(f'synthetic:{text}')
    assert f'synthetic:{text}' in str(caught.value) and '\n' not in str(caught.value)


def test_training_seeds_are_not_demo_seeds() -> None:
    assert TRAINING_SEED not in DEMO_SEEDS and TRAINING_SEED > max(DEMO_SEEDS)
    demo = {_hash(frame) for frame in _drive(3, 20)}
    assert not demo & {_hash(frame) for frame in _scenes(TRAINING_SEED, 60)}
