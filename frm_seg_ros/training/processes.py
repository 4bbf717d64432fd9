"""The processes of a run: one, or those that `torchrun` starts, one to a device."""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Processes:
    """What one process knows of the others.

    Attributes:
        rank: number of this one, from 0 on.
        count: of all of them.
        device: where this one computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Tell whether this process is the one that writes and reports."""
        return self.rank == 0

    def share(self, learner: nn.Module) -> nn.Module:
        """Wrap a module whose norms and gradients are to be those of all processes' batches."""
        if self.count == 1:
            return learner
        synchronise_norms(learner, self.device)
        devices = [self.device] if self.device.type == 'cuda' else None
        return DistributedDataParallel(learner, devices)

    def sum(self, counts: np.ndarray) -> np.ndarray:
        """Add up int64 arrays of one shape over all processes."""
        if self.count == 1:
            return counts
        total = torch.from_numpy(counts).to(self.device)
        dist.all_reduce(total)
        return total.cpu().numpy()


@contextmanager
def join_processes() -> Iterator[Processes]:
    """Meet the processes that `torchrun` started with this one; without it there is just this."""
    cuda = torch.cuda.is_available()
    if 'LOCAL_RANK' not in os.environ:
        yield Processes(0, 1, torch.device('cuda' if cuda else 'cpu'))
        return
    device = torch.device(f'cuda:{os.environ["LOCAL_RANK"]}' if cuda else 'cpu')
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group('nccl' if cuda else 'gloo')
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device)
        dist.barrier()   # none may leave while another still talks to it
    finally:
        dist.destroy_process_group()


def synchronise_norms(module: nn.Module, device: torch.device) -> None:
    """Turn every batch norm inside `module` into one over the batches of all processes.

    On CUDA that is torch's own, which knows no CPU.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            norm = nn.SyncBatchNorm if device.type == 'cuda' else CpuSyncBatchNorm
            synced = norm(child.num_features, child.eps, child.momentum)
            synced.load_state_dict(child.state_dict())
            setattr(module, name, synced.to(device))
        else:
            synchronise_norms(child, device)


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """Batch norm whose mean and variance are those of the batches of all processes, on CPUs.

    All processes have equally many pixels.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        if not self.training:
            return super().forward(x)
        count = dist.get_world_size()
        full = x.to(self.weight.dtype)
        mean = all_reduce(full.mean((0, 2, 3))) / count
        centred = full - mean[:, None, None]
        variance = all_reduce(centred.square().mean((0, 2, 3))) / count
        self._follow(mean.detach(), variance.detach(), count * x.numel() // self.num_features)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    def _follow(self, mean: Tensor, variance: Tensor, pixels: int) -> None:
        """Move the running statistics as torch does: unbiased; by 1 / batches without momentum."""
        self.num_batches_tracked += 1
        weight = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance * pixels / (pixels - 1), weight)
