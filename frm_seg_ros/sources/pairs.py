"""Pairs of an image file and a label file: what the data sets have in common."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.images import ImageFiles, natural


class FramePairs(ImageFiles):
    """Images, each with the label image that is its truth.

    Attributes:
        files: the images.
        truths: the label image of every one.
        label_space: the space of the truth.
        rate_hz, stamps_ns: as those of ImageFiles.
    """

    def __init__(self, pairs: Iterable[tuple[Path, Path]], space: LabelSpace,
                 read: Callable[[Path, tuple[int, int]], np.ndarray]) -> None:
        """Take the pairs; nothing is read yet.

        Args:
            pairs: image and label image of every frame.
            space: what the train ids mean.
            read: gives the train ids, (H, W) uint8, of a label image whose image has the size
                (height, width); raises ConfigError where they cannot be used.
        """
        images, truths = zip(*pairs, strict=True)
        super().__init__(images, upright=False)
        self.truths = list(truths)
        self.label_space = space
        self._read = read

    def frame(self, index: int) -> Frame:
        """Read image and truth of frame `index`, from 0 on.

        Raises:
            ConfigError: if one cannot be decoded, both differ in size, or the truth has a value
                outside its label space; names the file.
        """
        image = self.image(index)
        truth = self._read(self.truths[index], image.shape[:2])
        return Frame(image, self.stamps_ns[index], truth=truth)

    def check(self, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        """Read every frame once, in threads, before long work that must not stop at a bad one.

        Args:
            progress: called after every frame with the number of those done and of all, if given.

        Returns:
            The pixels of each train id over all frames: (256,) int64.

        Raises:
            ConfigError: if frames cannot be used; counts them and tells of the first few.
        """
        counts, bad = np.zeros(256, np.int64), []
        with ThreadPoolExecutor() as pool:
            for done, found in enumerate(pool.map(self._count, range(len(self))), 1):
                if isinstance(found, ConfigError):
                    bad.append(str(found))
                else:
                    counts += found
                if progress:
                    progress(done, len(self))
        if bad:
            raise ConfigError(f'{len(bad)} of {len(self)} frames cannot be used: {first_few(bad)}')
        return counts

    def _count(self, index: int) -> np.ndarray | ConfigError:
        try:
            return np.bincount(self.frame(index).truth.ravel(), minlength=256)
        except ConfigError as error:
            return error


def split_text(text: str, kind: str) -> tuple[Path, str]:
    """Part `ROOT:SPLIT` at its last colon.

    Raises:
        ConfigError: if one of both is missing.
    """
    root, _, split = text.rpartition(':')
    if not root or not split:
        raise ConfigError(f'{text!r} names no split: write {kind}:ROOT:SPLIT, such as '
                          f'{kind}:data/{kind}:val')
    return Path(root).expanduser(), split


def find_files(folder: Path, pattern: str, *endings: str) -> dict[str, Path]:
    """Find files whose names have one of the endings, in natural order.

    Args:
        folder: where to look; one that is not there holds nothing.
        pattern: of the paths below it, as in Path.glob.
        endings: in lower case; those of the files may be in upper case.

    Returns:
        Each file under its path below `folder` without the ending.
    """
    found = {}
    for file in folder.glob(pattern):
        ending = next((text for text in endings if file.name.lower().endswith(text)), '')
        if ending and not file.name.startswith('.'):
            found[file.relative_to(folder).as_posix()[:-len(ending)]] = file
    return {name: found[name] for name in sorted(found, key=natural)}


def missing(folder: Path, wanted: str) -> ConfigError:
    """Make the error about a folder that is not there or holds nothing of use.

    It tells what is in the nearest folder above that exists.
    """
    there = next((path for path in (folder, *folder.parents) if path.is_dir()), Path())
    names = sorted(item.name for item in there.iterdir())
    what = f'holds {listed(names)}' if there == folder else \
        f'is not there: {there} holds {listed(names)}'
    return ConfigError(f'{folder} {what}; wanted {wanted}')


def pair_up(images: Mapping[str, Path], truths: Mapping[str, Path],
            where: Path) -> list[tuple[Path, Path]]:
    """Pair images and label images of one name, in the order of the images.

    Raises:
        ConfigError: if some have no partner; counts them and lists the first few.
    """
    lonely = sorted(images.keys() ^ truths.keys(), key=natural)
    if lonely:
        raise ConfigError(f'{len(lonely)} names in {where} have an image without a label image '
                          f'(PNG) or a label image without an image: {listed(lonely)}; restore '
                          'the other file or remove this one')
    return [(image, truths[name]) for name, image in images.items()]


def listed(names: list[str], most: int = 5) -> str:
    """Join the first few names for a sentence."""
    return (', '.join(names[:most]) or 'nothing') + (' ...' if len(names) > most else '')


def first_few(sentences: list[str], most: int = 3) -> str:
    """Join the first few sentences about single files for the one about all of them."""
    more = f'; and {len(sentences) - most} more' if len(sentences) > most else ''
    return '; '.join(sentences[:most]) + more
