"""Gradients under bfloat16 on the CPU.

torch 2.13 reads memory it never wrote in the bfloat16 weight gradient of a dilated depthwise
convolution; the network keeps that one layer in float32 on the CPU. In a run of 30 such gradients
2 to 4 were wrong by 1e34 and more; here the memory is poisoned so that it shows.
"""
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from frm_seg_ros.network.van import LargeKernelAttention  # noqa: E402


def gradient(module, x, dtype):
    module.zero_grad()
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = module(x)
    y.float().square().sum().backward()
    return module.conv_spatial.weight.grad.clone()


def test_gradient_of_the_dilated_convolution_is_right():
    torch.manual_seed(0)
    module = LargeKernelAttention(64).to(memory_format=torch.channels_last)
    for _ in range(12):
        x = torch.randn(8, 64, 32, 40).to(memory_format=torch.channels_last)
        right = gradient(module, x, torch.float32)
        poison = torch.full((1 << 22,), float('nan'))
        del poison
        found = gradient(module, x, torch.bfloat16)
        # bfloat16 has 8 bits: 0.4 % a rounding, several of them in a row.
        assert (found - right).abs().max() <= 0.05 * right.abs().max()
