"""Semantic FPN (Kirillov et al., CVPR 2019, arXiv 1901.02446), as mmsegmentation builds it."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def _to_size_of(x: Tensor, finer: Tensor, mode: str) -> Tensor:
    """Resize to the very size of a finer tensor: odd sizes would not fit a factor of 2."""
    corners = None if mode == 'nearest' else False
    return F.interpolate(x, size=finer.shape[2:], mode=mode, align_corners=corners)


class FeaturePyramid(nn.Module):
    """Bring all stages to one width and add the coarse to the fine.

    Args:
        widths: channels of the four inputs.
        width: channels of the four outputs.
        smooth: whether a 3x3 convolution follows.
    """

    def __init__(self, widths: tuple[int, ...], width: int, smooth: bool) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(each, width, 1) for each in widths)
        self.smooth = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) if smooth else nn.Identity() for _ in widths)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        levels = [layer(x) for layer, x in zip(self.lateral, features, strict=True)]
        for i in (2, 1, 0):
            levels[i] = levels[i] + _to_size_of(levels[i + 1], levels[i], 'nearest')
        return [layer(x) for layer, x in zip(self.smooth, levels, strict=True)]


class ConvNormRelu(nn.Sequential):
    """A 3x3 convolution, batch norm and ReLU."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__(nn.Conv2d(width_in, width, 3, padding=1, bias=False),
                         nn.BatchNorm2d(width), nn.ReLU())


class PyramidHead(nn.Module):
    """Bring all levels to stride 4, step by step, add them up and classify.

    Args:
        width_in: channels of the levels.
        width: channels inside.
        classes: channels of the output.
    """

    def __init__(self, width_in: int, width: int, classes: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.ModuleList(ConvNormRelu(width_in if step == 0 else width, width)
                          for step in range(max(1, level))) for level in range(4))
        self.dropout = nn.Dropout2d(0.1)
        self.classify = nn.Conv2d(width, classes, 1)

    def join(self, levels: list[Tensor]) -> Tensor:
        """Give the joined features (N, width, h, w) at stride 4."""
        total = self.levels[0][0](levels[0])
        for level in range(1, 4):
            x = levels[level]
            for step, layer in enumerate(self.levels[level]):
                x = _to_size_of(layer(x), levels[level - 1 - step], 'bilinear')
            total = total + x
        return total

    def forward(self, features: Tensor) -> Tensor:
        """Map joined features to logits (N, classes, h, w)."""
        return self.classify(self.dropout(features))
