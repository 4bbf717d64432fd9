"""The labels of `torch_decode.label` in one pass over the image, by Triton.

With torch alone the up-sampled logits go through memory some eight times, 0.7 GB for eleven
classes at 1024x2048; here only the logits at stride 4 are read and the labels written, 8 MB.
"""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

try:  # comes with torch for CUDA, not with torch for the CPU
    import triton
    import triton.language as tl
except ImportError:
    label_kernel = None
else:
    BLOCK = 256

    @triton.jit
    def _label(logits, stride_class, stride_row, stride_column, classes, width,
               row_low, row_high, row_weight_low, row_weight_high,
               column_low, column_high, column_weight_low, column_weight_high,
               labels, block: tl.constexpr):
        y = tl.program_id(0)
        x = tl.program_id(1) * block + tl.arange(0, block)
        inside = x < width
        top = tl.load(row_low + y) * stride_row
        bottom = tl.load(row_high + y) * stride_row
        up, down = tl.load(row_weight_low + y), tl.load(row_weight_high + y)
        left = tl.load(column_low + x, inside, 0) * stride_column
        right = tl.load(column_high + x, inside, 0) * stride_column
        near = tl.load(column_weight_low + x, inside, 0.0)
        far = tl.load(column_weight_high + x, inside, 0.0)
        best = tl.full((block,), float('-inf'), tl.float32)
        winner = tl.zeros((block,), tl.int32)
        for k in range(classes):
            plane = logits + k * stride_class
            a = tl.load(plane + top + left, inside, 0.0).to(tl.float32)
            b = tl.load(plane + top + right, inside, 0.0).to(tl.float32)
            c = tl.load(plane + bottom + left, inside, 0.0).to(tl.float32)
            d = tl.load(plane + bottom + right, inside, 0.0).to(tl.float32)
            value = (up * a + down * c) * near + (up * b + down * d) * far
            winner = tl.where(value > best, k, winner)
            best = tl.maximum(value, best)
        tl.store(labels + y * width + x, winner.to(tl.uint8), inside)

    def label_kernel(logits: Tensor, rows: Any, columns: Any) -> Tensor:
        """Do what `torch_decode.label` does; the arguments are its."""
        height, width = len(rows.low), len(columns.low)
        labels = torch.empty((height, width), dtype=torch.uint8, device=logits.device)
        _label[(height, triton.cdiv(width, BLOCK))](
            logits, *logits.stride(), len(logits), width, *rows, *columns, labels, BLOCK)
        return labels
