"""The feature refinement module (FRM; Wang et al., ICIP 2023, arXiv 2412.08670).

All four stages are pooled to the coarsest one, joined, and refined by a transformer block whose
attention is the disentangled non-local one (DNL; Yin et al., ECCV 2020, arXiv 2006.06668).
"""
from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frm_seg_ros.network.van import ChannelNorm, full_precision

# Temperature of the pairwise softmax (DNL's code and mmsegmentation's).
TEMPERATURE = 0.05
POOLS = (8, 4, 2)


class DisentangledNonLocal(nn.Module):
    """Attend from every position to all, by similarity (pairwise) and by saliency (unary).

    y_i = sum_j (softmax_j((q_i - mean q) . (k_j - mean k) / (sqrt(inner) T)) + softmax_j(u_j)) v_j

    Args:
        width: channels of the input and the output.
        inner: channels of queries, keys and values.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, inner, 1)
        self.key = nn.Conv2d(width, inner, 1)
        self.value = nn.Conv2d(width, inner, 1)
        self.unary = nn.Conv2d(width, 1, 1)
        self.out = nn.Conv2d(inner, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.scale = 1 / (math.sqrt(inner) * TEMPERATURE)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, width, H, W) to the same shape; the shortcut is the caller's."""
        query, key, value = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        # The temperature multiplies the logits by 20: half precision would lose the softmax.
        with full_precision(x.device.type):
            query = query.float() - query.float().mean(2, keepdim=True)
            key = key.float() - key.float().mean(2, keepdim=True)
            pairwise = (self.scale * query.transpose(1, 2) @ key).softmax(2)  # (N, HW, HW)
            unary = self.unary(x.float()).flatten(2).softmax(2)               # (N, 1, HW)
            y = value.float() @ (pairwise + unary).transpose(1, 2)            # (N, inner, HW)
        return self.norm(self.out(y.unflatten(2, x.shape[2:]).to(x.dtype)))


class FeedForward(nn.Sequential):
    """Two 1x1 convolutions with GELU between them."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__(nn.Conv2d(width, ratio * width, 1), nn.GELU(),
                         nn.Conv2d(ratio * width, width, 1))


class FeatureRefinement(nn.Module):
    """Pool all stages to the coarsest, join them and refine them by one pre-norm block.

    Args:
        widths: channels of the stages that enter: the last ones, all four in the FRM.
        width: channels inside; None keeps the joined width.
        inner: channels of the attention.
        ratio: widening of the feed-forward layer.
        attention: builds the attention from its width and `inner`.

    Attributes:
        width: channels of the output.
    """

    def __init__(self, widths: tuple[int, ...], width: int | None, inner: int, ratio: int,
                 attention: Callable[[int, int], nn.Module] = DisentangledNonLocal) -> None:
        super().__init__()
        self.pools = POOLS[4 - len(widths):]
        joined = sum(widths)
        self.width = width or joined
        self.reduce = nn.Identity() if width is None else nn.Sequential(
            nn.Conv2d(joined, width, 1, bias=False), nn.BatchNorm2d(width))
        self.norm1 = ChannelNorm(self.width)
        self.attention = attention(self.width, inner)
        self.norm2 = ChannelNorm(self.width)
        self.feed_forward = FeedForward(self.width, ratio)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Map the features at strides 4, 8, 16, 32 to (N, width, h, w) at stride 32."""
        # Kernel = stride with ceil_mode gives the size of the last stage for every image size,
        # which adaptive pooling would too, but not in an ONNX file of dynamic shape.
        pooled = [F.avg_pool2d(x, pool, pool, ceil_mode=True, count_include_pad=False)
                  for x, pool in zip(features[3 - len(self.pools):3], self.pools, strict=True)]
        x = self.reduce(torch.cat([*pooled, features[3]], 1))
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))
