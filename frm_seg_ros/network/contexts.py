"""What stands at the end of the backbone: the refinement module, or an alternative to it.

The alternatives show in training what each part of the module brings. All are built from the
widths of the four stages, the width of the output (None: that of all stages joined), the width of
the attention and the widening of the feed-forward layer, as far as they have such; map the four
features to one at stride 32; and tell its channels as `width`.
"""
from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frm_seg_ros.network.pyramid import ConvNormRelu
from frm_seg_ros.network.refinement import FeatureRefinement
from frm_seg_ros.network.van import full_precision

BINS = (1, 2, 3, 6)   # of the PSPNet paper


class NoContext(nn.Module):
    """Give the last stage as it is.

    Attributes:
        width: channels of the output, those of the last stage.
    """

    def __init__(self, widths: tuple[int, ...], *_: int | None) -> None:
        super().__init__()
        self.width = widths[-1]

    def forward(self, features: list[Tensor]) -> Tensor:
        return features[-1]


class NonLocal(nn.Module):
    """Attend from every position to all, by similarity alone.

    The embedded Gaussian of Wang et al., CVPR 2018 (arXiv 1711.07971), divided by sqrt(inner) as
    in Vaswani et al., 2017: y_i = sum_j softmax_j(q_i . k_j / sqrt(inner)) v_j.

    Args:
        width: channels of the input and the output.
        inner: channels of queries, keys and values.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, inner, 1)
        self.key = nn.Conv2d(width, inner, 1)
        self.value = nn.Conv2d(width, inner, 1)
        self.out = nn.Conv2d(inner, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, width, H, W) to the same shape; the shortcut is the caller's."""
        query, key, value = (layer(x).flatten(2).transpose(1, 2).float()
                             for layer in (self.query, self.key, self.value))  # (N, HW, inner)
        with full_precision(x.device.type):   # as in DisentangledNonLocal, to differ in one thing
            y = F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
        return self.norm(self.out(y.unflatten(2, x.shape[2:]).to(x.dtype)))


class PyramidPooling(nn.Module):
    """Join the last stage with its means over 1, 4, 9 and 36 parts of the image.

    The pyramid pooling module (PPM) of Zhao et al., CVPR 2017 (arXiv 1612.01105). Training needs
    at least two images a batch: the norm of the mean over one part has but one value an image.
    For torch only: the adaptive pooling is not exported for dynamic sizes.

    Args:
        widths: channels of the four stages.
        width: channels of the output; None for those of all stages joined.

    Attributes:
        width: channels of the output.
    """

    def __init__(self, widths: tuple[int, ...], width: int | None, *_: int) -> None:
        super().__init__()
        self.width = width or sum(widths)
        part = widths[-1] // len(BINS)
        self.parts = nn.ModuleList(nn.Sequential(
            nn.AdaptiveAvgPool2d(count), nn.Conv2d(widths[-1], part, 1, bias=False),
            nn.BatchNorm2d(part), nn.ReLU()) for count in BINS)
        self.join = ConvNormRelu(widths[-1] + part * len(BINS), self.width)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = features[-1]
        means = [F.interpolate(part(x), x.shape[2:], mode='bilinear') for part in self.parts]
        return self.join(torch.cat([x, *means], 1))


def _with_non_local(widths: tuple[int, ...], *args: int | None) -> nn.Module:
    return FeatureRefinement(widths, *args, attention=NonLocal)


def _of_last_stage(widths: tuple[int, ...], width: int | None, *args: int) -> nn.Module:
    return FeatureRefinement(widths[-1:], width or sum(widths), *args)


CONTEXTS: dict[str, Callable[..., nn.Module]] = {
    'frm': FeatureRefinement,
    'frm_nonlocal': _with_non_local,   # the attention neither whitened nor with a unary term
    'frm_f4': _of_last_stage,          # the other stages do not enter
    'ppm': PyramidPooling,
    'none': NoContext,
}
