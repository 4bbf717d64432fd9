"""The pixel-contrast term of the hybrid loss.

The paper (arXiv 2412.08670) says 'contrastive' and prints neither form nor weight. Ours is the
supervised pixel contrast of Wang et al., ICCV 2021 (arXiv 2101.11939: their pixel-wise NCE, and
anchors half hard, half easy), without a memory bank.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frm_seg_ros.core.label_space import IGNORE

PROJECTION_WIDTH = 256   # theirs


class Projection(nn.Sequential):
    """Map features to the unit sphere on which pixels are compared; not part of the model.

    Args:
        width: channels of the features.
    """

    def __init__(self, width: int) -> None:
        super().__init__(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                         nn.Conv2d(width, PROJECTION_WIDTH, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, width, h, w) to (N, PROJECTION_WIDTH, h, w) float32 of length 1."""
        return F.normalize(super().forward(features).float(), dim=1)


def contrast_of(embeddings: Tensor, logits: Tensor, truth: Tensor, samples: int,
                temperature: float) -> Tensor:
    """Compute the pixel contrast of anchors drawn from a batch.

    Args:
        embeddings: (N, D, h, w) float, of length 1.
        logits: (N, classes, h, w) float; their winners tell hard pixels from easy ones.
        truth: (N, H, W) uint8 train ids at full size.
        samples: number of anchors, at most.
        temperature: of the softmax.
    """
    size = embeddings.shape[2:]
    truth = F.interpolate(truth[:, None].float(), size, mode='nearest-exact').flatten().long()
    anchors = draw_anchors(truth, logits.detach().argmax(1).flatten(), samples)
    chosen = embeddings.permute(0, 2, 3, 1).flatten(0, 2)[anchors]
    return pixel_contrast(chosen, truth[anchors], temperature)


def draw_anchors(truth: Tensor, labels: Tensor, samples: int) -> Tensor:
    """Draw equally many pixels of every class, half of them hard ones where there are enough.

    Args:
        truth: (pixels,) int64 train ids; ignored pixels are never drawn.
        labels: (pixels,) int64 predictions; a pixel is hard where they are wrong.
        samples: wanted over all classes.

    Returns:
        Indices (at most `samples`,) int64, without repetition.
    """
    classes = truth[truth != IGNORE].unique()
    each = samples // max(1, len(classes))
    chosen = [truth.new_empty(0)]
    for train_id in classes:
        of_class, right = truth == train_id, labels == truth
        hard, easy = _shuffled(of_class & ~right), _shuffled(of_class & right)
        hard = hard[:max(each // 2, each - len(easy))]
        chosen += [hard, easy[:each - len(hard)]]
    return torch.cat(chosen)


def _shuffled(mask: Tensor) -> Tensor:
    indices = mask.nonzero().flatten()
    return indices[torch.randperm(len(indices), device=mask.device)]


def pixel_contrast(embeddings: Tensor, truth: Tensor, temperature: float) -> Tensor:
    """Pull pixels of one class together and push those of others away.

    With s(i, j) = e_i . e_j / temperature, P(i) the other pixels of i's class and N(i) those of
    other classes, the loss of i is

        -1 / |P(i)| sum over p in P(i) of log(exp s(i, p) / (exp s(i, p) + sum_N(i) exp s(i, n)))

    and that of the batch the mean over all i with a positive; 0 when there is none.

    Args:
        embeddings: (K, D) float, of length 1.
        truth: (K,) int64 train ids.
        temperature: above 0.
    """
    similarity = embeddings @ embeddings.T / temperature
    same = truth[:, None] == truth
    positive = same & ~torch.eye(len(truth), dtype=torch.bool, device=truth.device)
    # -1e4 stands for minus infinity, whose gradient would not be a number; exp of it is 0.
    negatives = similarity.masked_fill(same, -1e4).logsumexp(1, keepdim=True)
    losses = F.softplus(negatives - similarity) * positive   # -log(a / (a + b)) = log(1 + b / a)
    counts = positive.sum(1)
    per_anchor = losses.sum(1) / counts.clamp(min=1)
    return per_anchor.sum() / (counts > 0).sum().clamp(min=1)
