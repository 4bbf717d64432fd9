"""A hash of label images, by which two runs are compared pixel by pixel."""
from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np


def hash_image(labels: np.ndarray) -> str:
    """Give SHA-256 of the pixels of one label image, uint8, row by row: lower-case hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(labels, np.uint8)).hexdigest()


def hash_hashes(hashes: Iterable[str]) -> str:
    """Give one hash of many label images in their order: SHA-256 of their `hash_image`s' bytes.

    Not of all pixels at once, so that parts of an evaluation can be put together.
    """
    return hashlib.sha256(b''.join(map(bytes.fromhex, hashes))).hexdigest()
