"""The hybrid loss: cross entropy and pixel contrast."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from frm_seg_ros.core.label_space import IGNORE
from frm_seg_ros.training.config import TrainingConfig
from frm_seg_ros.training.contrast import contrast_of

# Share of the pixels that hard-example mining keeps at least: the 100 000 of 2 crops of 512x1024
# in common recipes are a tenth.
LEAST_KEPT = 0.1


def hybrid_loss(logits: Tensor, embeddings: Tensor | None, truth: Tensor, weights: Tensor | None,
                config: TrainingConfig, step: int) -> tuple[Tensor, Tensor]:
    """Compute both terms; the loss is their sum.

    Args:
        logits: (N, classes, h, w) float at stride 4.
        embeddings: (N, D, h, w) float of length 1, or None without the contrast.
        truth: (N, H, W) uint8 train ids.
        weights: (classes,) float32 weights of the classes, or None for 1.
        config: of the run.
        step: number of steps done; the contrast grows linearly over the first of them.

    Returns:
        Cross entropy, and the contrast times its weight.
    """
    full = F.interpolate(logits.float(), size=truth.shape[1:], mode='bilinear')
    entropy = cross_entropy(full, truth, weights, config.ohem_threshold)
    if embeddings is None:
        return entropy, torch.zeros_like(entropy)
    contrast = contrast_of(embeddings, logits, truth, config.contrast_samples,
                           config.contrast_temperature)
    risen = min(1.0, step / config.contrast_warm_up) if config.contrast_warm_up else 1.0
    return entropy, config.contrast_weight * risen * contrast


def cross_entropy(logits: Tensor, truth: Tensor, weights: Tensor | None,
                  ohem_threshold: float) -> Tensor:
    """Compute the weighted mean of -log p(truth) over the counted pixels; 0 when there is none.

    With online hard-example mining (OHEM; Shrivastava et al., CVPR 2016) only pixels count whose
    p(truth) is at most the threshold, and the hardest tenth in any case.

    Args:
        logits: (N, classes, H, W) float.
        truth: (N, H, W) uint8 train ids; 255 counts nothing.
        weights: (classes,) float, or None for 1.
        ohem_threshold: 0..1; 0 for no mining.
    """
    counted = truth != IGNORE
    ids = torch.where(counted, truth, 0).long()
    log_p = logits.log_softmax(1).gather(1, ids[:, None])[:, 0]
    if ohem_threshold > 0:
        counted = counted & _hard(log_p.detach(), counted, ohem_threshold)
    share = counted * (1 if weights is None else weights[ids])
    return -(share * log_p).sum() / share.sum().clamp(min=1e-6)


def _hard(log_p: Tensor, counted: Tensor, threshold: float) -> Tensor:
    known = log_p[counted]
    if len(known) == 0:
        return counted
    kept = max(1, round(LEAST_KEPT * len(known)))
    return log_p <= known.kthvalue(kept).values.clamp(min=math.log(threshold))
