"""Scores of the weights while they are trained."""
from __future__ import annotations

import numpy as np
import torch

from frm_seg_ros.backends.torch_decode import label, make_axis
from frm_seg_ros.core.draw import colorize
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.core.metrics import ConfusionMatrix, Scores
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.network.segmentation import FrmNetwork
from frm_seg_ros.training.data import Frames
from frm_seg_ros.training.inputs import to_input
from frm_seg_ros.training.processes import Processes

PICTURES = 4


@torch.inference_mode()
def predict(network: FrmNetwork, image: np.ndarray, size: tuple[int, int],
            device: torch.device) -> np.ndarray:
    """Label one image as a segmenter would, float32.

    Args:
        network: in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        size: (height, width) at which the network runs.
        device: of the network.

    Returns:
        (H, W) uint8 train ids.
    """
    pixels = torch.from_numpy(resize_image(image, size))[None].to(device)
    logits = network(to_input(pixels))[0]
    rows, columns = (make_axis(coarse, wanted, device)
                     for coarse, wanted in zip(logits.shape[1:], image.shape[:2]))
    return label(logits, rows, columns).cpu().numpy()


def validate(network: FrmNetwork, frames: Frames, space: LabelSpace, size: tuple[int, int],
             processes: Processes) -> Scores:
    """Score a network; every process takes its share of the frames, all get the whole score.

    Args:
        network: is left in training mode.
        frames: with truths in `space`.
        space: the label space.
        size: (height, width) at which the network runs.
        processes: that take part.
    """
    network.eval()
    confusion = ConfusionMatrix(space.classes)
    for index in range(processes.rank, len(frames), processes.count):
        frame = frames[index]
        confusion.update(frame.truth, predict(network, frame.image, size, processes.device))
    confusion.counts = processes.sum(confusion.counts)
    network.train()
    return confusion.scores()


def pictures(network: FrmNetwork, frames: Frames, space: LabelSpace,
             size: tuple[int, int], device: torch.device) -> list[np.ndarray]:
    """Show image, truth and prediction side by side, for a few frames spread over all.

    Returns:
        (H, 3 W, 3) uint8 RGB each.
    """
    network.eval()
    rows = []
    for index in np.linspace(0, len(frames) - 1, min(PICTURES, len(frames))).astype(int):
        frame = frames[index]
        labels = predict(network, frame.image, size, device)
        rows.append(np.hstack([frame.image, colorize(frame.truth, space),
                               colorize(labels, space)]))
    network.train()
    return rows
