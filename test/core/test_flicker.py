"""Flicker against a slow twin, and on cases whose answer is known."""
from __future__ import annotations

import numpy as np
import pytest

from frm_seg_ros.core.flicker import Flicker, still_pixels
from frm_seg_ros.core.frame import Frame


def frame(image: np.ndarray, truth: np.ndarray | None = None, camera: str = 'camera') -> Frame:
    size = image.shape[:2]
    return Frame(image, 0, camera, np.zeros(size, np.uint8) if truth is None else truth)


def grey(level: int, size: tuple[int, int] = (6, 8)) -> np.ndarray:
    return np.full((*size, 3), level, np.uint8)


def slow_flicker(first: Frame, second: Frame, before: np.ndarray, now: np.ndarray
                 ) -> tuple[int, int]:
    """Count pixel by pixel, as docs/metrics.md says it."""
    old, new = (np.pad(one.image.astype(int), ((2, 2), (2, 2), (0, 0)), mode='reflect')
                for one in (first, second))
    still = changed = 0
    for y in range(now.shape[0]):
        for x in range(now.shape[1]):
            moved = new[y:y + 5, x:x + 5].mean((0, 1)) - old[y:y + 5, x:x + 5].mean((0, 1))
            # levels are whole, so that means differ by steps of 1/25, far above this tolerance
            if all(abs(channel) < 2 + 1e-6 for channel in moved) \
                    and first.truth[y, x] == second.truth[y, x] != 255:
                still += 1
                changed += before[y, x] != now[y, x]
    return still, changed


@pytest.mark.parametrize('seed', range(8))
def test_equal_to_a_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    old = rng.integers(0, 256, (13, 17, 3))
    noise = rng.integers(-9, 10, old.shape)
    noise[:, 8:] += rng.integers(0, 4)
    images = [np.clip(value, 0, 255).astype(np.uint8) for value in (old, old + noise)]
    truths = [rng.choice([0, 1, 255], (13, 17), p=[.8, .1, .1]).astype(np.uint8)
              for _ in range(2)]
    labels = [rng.choice([0, 1, 255], (13, 17), p=[.7, .2, .1]).astype(np.uint8)
              for _ in range(2)]
    frames = [frame(image, truth) for image, truth in zip(images, truths)]
    flicker = Flicker()
    assert flicker.update(frames[0], labels[0]) == (0, 0)
    found = flicker.update(frames[1], labels[1])
    assert found == slow_flicker(*frames, *labels)
    assert 0 < found[1] < found[0] < old[:, :, 0].size


@pytest.mark.parametrize('change, still', [(0, 48), (2, 48), (3, 0)])
def test_the_limit(change: int, still: int) -> None:
    assert np.count_nonzero(still_pixels(grey(100), grey(100 + change))) == still
    assert np.count_nonzero(still_pixels(grey(100 + change), grey(100))) == still


def test_what_moves_takes_its_surroundings_along() -> None:
    moved = grey(100, (11, 11))
    moved[5, 5, 1] = 255    # one channel of one pixel: 155 / 25 is more than 2
    alike = still_pixels(grey(100, (11, 11)), moved)
    expected = np.ones((11, 11), bool)
    expected[3:8, 3:8] = False
    np.testing.assert_array_equal(alike, expected)


@pytest.mark.parametrize('truths, still', [((0, 0), 48), ((0, 1), 0), ((255, 255), 0)])
def test_only_truth_that_stays_counts(truths: tuple[int, int], still: int) -> None:
    flicker = Flicker()
    for level in truths:
        found = flicker.update(frame(grey(9), np.full((6, 8), level, np.uint8)),
                               np.zeros((6, 8), np.uint8))
    assert found == (still, 0)


def test_frames_that_do_not_follow_one_another_are_not_compared() -> None:
    flicker, labels = Flicker(), np.zeros((6, 8), np.uint8)
    flicker.update(frame(grey(9)), labels)
    assert flicker.update(frame(grey(9), camera='other'), labels) == (0, 0)
    assert flicker.update(frame(grey(9, (8, 6))), labels.T) == (0, 0)
    assert flicker.update(frame(grey(9, (8, 6))), labels.T) == (48, 0)
    flicker.interrupt()
    assert flicker.update(frame(grey(9, (8, 6))), labels.T) == (0, 0)
