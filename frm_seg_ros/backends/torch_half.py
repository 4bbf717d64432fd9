"""A network's weights in half precision, all but those that the network needs in float32."""
from __future__ import annotations

import torch
from torch import nn

from frm_seg_ros.network.refinement import DisentangledNonLocal
from frm_seg_ros.network.van import LargeKernelAttention

# By the name of the precision, fastest first: both are as fast, float16 keeps three bits more.
HALVES = {'float16': torch.float16, 'bfloat16': torch.bfloat16}


def lower_precision(network: nn.Module, dtype: torch.dtype, device: str) -> None:
    """Turn the weights of a network to `dtype`, in place.

    Batch norms keep their float32 weights and statistics, some of which float16 does not hold (a
    variance of 104692 in the shipped model), and take half-precision input all the same. The
    attention computes its logits and softmax in float32, the unary ones by a convolution. On a CPU
    the dilated convolution of VAN runs in float32.
    """
    kept = {id(part) for module in network.modules() for part in _in_float32(module, device)}
    for module in network.modules():
        if id(module) not in kept:
            for weight in module.parameters(recurse=False):
                weight.data = weight.data.to(dtype)


def _in_float32(module: nn.Module, device: str) -> list[nn.Module]:
    if isinstance(module, nn.BatchNorm2d):
        return [module]
    if isinstance(module, DisentangledNonLocal):
        return [module.unary]
    if isinstance(module, LargeKernelAttention) and device == 'cpu':
        return [module.conv_spatial]
    return []
