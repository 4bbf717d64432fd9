"""What a batch of images becomes before it enters the network."""
from __future__ import annotations

import torch
from torch import Tensor

# Mean and standard deviation of ImageNet, RGB, scale 0..1: what published VAN weights expect.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def to_input(images: Tensor) -> Tensor:
    """Normalise (N, H, W, 3) uint8 RGB to (N, 3, H, W) float32, where the images are."""
    pixels = images.permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor(MEAN, device=images.device)[:, None, None]
    std = torch.tensor(STD, device=images.device)[:, None, None]
    return (pixels - mean) / std
