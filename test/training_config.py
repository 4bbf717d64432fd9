"""The shipped training configuration, changed for tests."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from frm_seg_ros.core.files import share_dir
from frm_seg_ros.training.config import TrainingConfig


def config_with(**changes: Any) -> TrainingConfig:
    """Load config/train/camvid_cpu.yaml and change some of its fields."""
    path = share_dir() / 'config' / 'train' / 'camvid_cpu.yaml'
    return replace(TrainingConfig.load(path, []), **changes)
