"""VAN, the Visual Attention Network (Guo et al., 2023, arXiv 2202.09741), as a backbone.

Names of modules follow the official implementation, so that its published weights load.
"""
from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frm_seg_ros.core.errors import ConfigError

# Widths and depths by stage (the paper's table 2).
SIZES = {
    'b0': ((32, 64, 160, 256), (3, 3, 5, 2)),
    'b1': ((64, 128, 320, 512), (2, 2, 4, 2)),
    'b2': ((64, 128, 320, 512), (3, 3, 12, 3)),
    'b3': ((64, 128, 320, 512), (3, 5, 27, 3)),
}
MLP_RATIOS = (8, 8, 4, 4)
LAYER_SCALE = 1e-2
# Of the classification code, with which the published weights were trained.
LAYER_NORM_EPS = 1e-6


def full_precision(device: str) -> AbstractContextManager:
    """Switch autocast off; the meta device, on which MACs are counted, knows none."""
    return nullcontext() if device == 'meta' else torch.autocast(device, enabled=False)


class ChannelNorm(nn.LayerNorm):
    """Normalise over the channels of (N, C, H, W), position by position."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class DropPath(nn.Module):
    """Drop the branch of a sample with probability `rate` in training (Huang et al., 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = torch.rand((x.shape[0], 1, 1, 1), device=x.device) >= self.rate
        return x * (keep / (1 - self.rate)).to(x.dtype)


class LargeKernelAttention(nn.Module):
    """Weigh the input by a 21x21 receptive field, taken apart into three convolutions (LKA)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.conv_spatial = nn.Conv2d(width, width, 7, padding=9, dilation=3, groups=width)
        self.conv1 = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(self._spatial(self.conv0(x)))

    def _spatial(self, x: Tensor) -> Tensor:
        # On the CPU, torch 2.13's bfloat16 weight gradient of a dilated depthwise convolution
        # reads memory it never wrote: now and then wrong by up to 1e35, or not finite. See
        # test/network/test_bfloat16.py. float32 is as fast there.
        if x.device.type != 'cpu':
            return self.conv_spatial(x)
        with full_precision('cpu'):
            return self.conv_spatial(x.float()).to(x.dtype)


class Attention(nn.Module):
    """LKA between two 1x1 convolutions, with a shortcut around all three."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(width, width, 1)
        self.spatial_gating_unit = LargeKernelAttention(width)
        self.proj_2 = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.proj_2(self.spatial_gating_unit(F.gelu(self.proj_1(x))))


class DepthwiseConv(nn.Module):
    """A 3x3 depthwise convolution, one module deeper than needed, as the official keys have it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        return self.dwconv(x)


class Mlp(nn.Module):
    """Two 1x1 convolutions around a depthwise one."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, ratio * width, 1)
        self.dwconv = DepthwiseConv(ratio * width)
        self.fc2 = nn.Conv2d(ratio * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.dwconv(self.fc1(x))))


class Block(nn.Module):
    """Attention and MLP, each pre-normed, scaled by layer, with a shortcut."""

    def __init__(self, width: int, ratio: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(width)
        self.attn = Attention(width)
        self.norm2 = nn.BatchNorm2d(width)
        self.mlp = Mlp(width, ratio)
        self.drop_path = DropPath(drop_path)
        self.layer_scale_1 = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.layer_scale_2 = nn.Parameter(torch.full((width,), LAYER_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.layer_scale_1[:, None, None] * self.attn(self.norm1(x)))
        return x + self.drop_path(self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """A strided convolution and its norm: what begins a stage."""

    def __init__(self, width_in: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(width_in, width, kernel, stride, kernel // 2)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x))


class Van(nn.Module):
    """Turn images into features at strides 4, 8, 16 and 32.

    Args:
        size: a key of SIZES.
        drop_path: rate of the last block; it grows linearly from 0 at the first one.

    Attributes:
        widths: channels of the four features.
    """

    def __init__(self, size: str, drop_path: float = 0.0) -> None:
        super().__init__()
        self.widths, depths = SIZES[size]
        last = sum(depths) - 1
        rates = [drop_path * index / last for index in range(last + 1)]
        width_in = 3
        for stage, (width, depth) in enumerate(zip(self.widths, depths, strict=True), 1):
            kernel, stride = (7, 4) if stage == 1 else (3, 2)
            setattr(self, f'patch_embed{stage}', PatchEmbed(width_in, width, kernel, stride))
            blocks = [Block(width, MLP_RATIOS[stage - 1], rates.pop(0)) for _ in range(depth)]
            setattr(self, f'block{stage}', nn.ModuleList(blocks))
            setattr(self, f'norm{stage}', ChannelNorm(width))
            width_in = width

    def forward(self, x: Tensor) -> list[Tensor]:
        """Give four features (N, widths[i], ceil(H / stride), ceil(W / stride))."""
        features = []
        for stage in range(1, 5):
            x = getattr(self, f'patch_embed{stage}')(x)
            for block in getattr(self, f'block{stage}'):
                x = block(x)
            x = getattr(self, f'norm{stage}')(x)
            features.append(x)
        return features


def load_published_weights(backbone: Van, path: Path | str) -> None:
    """Load a weight file as the VAN authors publish it into `backbone`.

    Such a file holds the tensors under `state_dict`; those of the classifier (`head.*`) are left
    out. No code in the file is run (`weights_only`).

    Raises:
        ConfigError: if the file cannot be read, or a key or shape does not fit; lists the first.
    """
    try:
        found = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or unsafe file
        raise ConfigError(f'{path} cannot be read as a weight file: {error}') from error
    found = found.get('state_dict', found) if isinstance(found, dict) else {}
    found = {key: value for key, value in found.items() if not key.startswith('head.')}
    wanted = backbone.state_dict()
    wrong = [f'{key} is missing' for key in wanted if key not in found]
    wrong += [f'{key} is unexpected' for key in found if key not in wanted]
    wrong += [f'{key} has shape {tuple(found[key].shape)}, wanted {tuple(value.shape)}'
              for key, value in wanted.items() if key in found and found[key].shape != value.shape]
    if wrong:
        raise ConfigError(f'{path} does not fit this backbone: {"; ".join(wrong[:5])} '
                          f'({len(wrong)} in all): choose the VAN size the file is of')
    backbone.load_state_dict(found)
