"""The whole network, and its named variants.

`frm_b0` is a reconstruction consistent with the published GFLOPs, not the paper's network: the
paper (arXiv 2412.08670) prints neither backbone size nor widths. See docs/network.md.
"""
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.network.contexts import CONTEXTS
from frm_seg_ros.network.pyramid import FeaturePyramid, PyramidHead
from frm_seg_ros.network.van import SIZES, Van

_FULL = {'refine_width': None, 'attention_width': 512, 'ffn_ratio': 4,
         'pyramid_width': 256, 'head_width': 128, 'smooth': True}
VARIANTS: dict[str, dict[str, Any]] = {
    'frm_b0': {'backbone': 'b0', **_FULL},
    'frm_b0_fast': {'backbone': 'b0', 'refine_width': 256, 'attention_width': 128,
                    'ffn_ratio': 2, 'pyramid_width': 64, 'head_width': 64, 'smooth': True},
    'frm_b1': {'backbone': 'b1', **_FULL, 'attention_width': 1024},
    'frm_b2': {'backbone': 'b2', **_FULL, 'attention_width': 1024},
}


class FrmNetwork(nn.Module):
    """VAN backbone, feature refinement module, Semantic FPN.

    Args:
        classes: number of classes.
        backbone: size of the VAN, a key of `van.SIZES`.
        refine_width: channels in the refinement module; None keeps those of all stages joined.
        attention_width: channels of its attention.
        ffn_ratio: widening of its feed-forward layer.
        pyramid_width: channels of the feature pyramid.
        head_width: channels of the head.
        smooth: whether the pyramid ends with 3x3 convolutions.
        context: a key of `contexts.CONTEXTS`; all but `frm` are there to be compared with it.
        drop_path: rate of the backbone's last block, in training.

    Raises:
        ConfigError: if the backbone or the context is unknown.
    """

    def __init__(self, *, classes: int, backbone: str, refine_width: int | None,
                 attention_width: int, ffn_ratio: int, pyramid_width: int, head_width: int,
                 smooth: bool, context: str = 'frm', drop_path: float = 0.0) -> None:
        super().__init__()
        _check('backbone', backbone, SIZES)
        _check('context', context, CONTEXTS)
        self.backbone = Van(backbone, drop_path)
        widths = self.backbone.widths
        self.refinement = CONTEXTS[context](widths, refine_width, attention_width, ffn_ratio)
        self.pyramid = FeaturePyramid((*widths[:3], self.refinement.width), pyramid_width, smooth)
        self.head = PyramidHead(pyramid_width, head_width, classes)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images to logits.

        Args:
            images: (N, 3, H, W) float, RGB, less the mean and divided by the standard deviation.

        Returns:
            (N, classes, ceil(H / 4), ceil(W / 4)) float.
        """
        return self.head(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """Give the features (N, head_width, h, w) at stride 4 that `head` classifies."""
        stages = self.backbone(images)
        refined = self.refinement(stages)
        return self.head.join(self.pyramid([*stages[:3], refined]))


def _check(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ConfigError(f'no {what} is called {name!r}: take one of {", ".join(known)}')


def _initialise(layer: nn.Module) -> None:
    """Draw convolution weights as VAN does: normal, variance 2 / fan-out (He et al., 2015)."""
    if isinstance(layer, nn.Conv2d):
        fan_out = layer.weight[0, 0].numel() * layer.out_channels // layer.groups
        nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def build_network(architecture: dict[str, Any]) -> FrmNetwork:
    """Build the network of a card.

    Raises:
        ConfigError: if the architecture has an unknown or missing argument.
    """
    try:
        return FrmNetwork(**architecture)
    except TypeError as error:
        raise ConfigError(f'the architecture {architecture} does not describe an FRM network '
                          f'({error}): compare it with network.segmentation.VARIANTS') from error


def count_macs(network: nn.Module, height: int, width: int) -> int:
    """Count the multiply-accumulates of convolutions and matrix products for one image.

    The network must lie on the meta device, where nothing is computed.
    """
    from torch.utils.flop_counter import FlopCounterMode
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.empty((1, 3, height, width), device='meta'))
    return counter.get_total_flops() // 2
