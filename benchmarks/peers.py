"""Time our models beside SegFormer-B0, SegFormer-B1 and a ResNet-18 FPN, taking turns.

The weights of the peers are random: this compares speed, never labels. Run it from the root of the
repository, where `transformers` is installed beside `.[export]`, openvino and onnxruntime:

    PYTHONPATH=. python benchmarks/peers.py --size 512x1024 --json peers.json
"""
from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.size import parse_size
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.tools.benchmark import benchmark, benchmark_table, open_card
from frm_seg_ros.tools.evaluate import write_json
from frm_seg_ros.tools.export import OPSET
from frm_seg_ros.tools.import_model import ImportOptions, import_model

CLASSES = 11
# Share of the largest logit, for sums in another order; a wrong graph differs by much more.
LARGEST_DIFFERENCE = 1e-4
NOTE = ("the peers' weights are random: this compares speed, and their decoding depends on labels "
        'that mean nothing')


class SegFormer(nn.Module):
    """SegFormer (Xie et al., 2021) of `transformers`, logits at stride 4.

    Args:
        widths: channels of the four stages; all else is as in B0 and B1.
    """

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        from transformers import SegformerConfig, SegformerForSemanticSegmentation
        self.network = SegformerForSemanticSegmentation(SegformerConfig(
            depths=[2, 2, 2, 2], hidden_sizes=list(widths), decoder_hidden_size=256,
            num_labels=CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, classes, h, w)."""
        return self.network(pixel_values=images, return_dict=False)[0]


class _Block(nn.Module):
    """Two 3x3 convolutions and a short cut (He et al., 2016)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside),
            nn.ReLU(), nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside))
        same = inside == outside and stride == 1
        self.short_cut = nn.Identity() if same else nn.Sequential(
            nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.path(x) + self.short_cut(x))


def _upsample(x: Tensor, like: Tensor, mode: str) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode=mode)


class ResNetFpn(nn.Module):
    """ResNet-18 with a Semantic FPN 256/128 (Kirillov et al., 2019), logits at stride 4."""

    widths = (64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64),
                                  nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.ModuleList(
            nn.Sequential(_Block(inside, outside, 1 if inside == outside else 2),
                          _Block(outside, outside, 1))
            for inside, outside in zip((64, *self.widths), self.widths))
        self.laterals = nn.ModuleList(nn.Conv2d(width, 256, 1) for width in self.widths)
        # A level at stride 4 * 2^n is up-sampled n times, a convolution before each.
        self.levels = nn.ModuleList(
            nn.ModuleList(self._convolution(256 if place == 0 else 128)
                          for place in range(max(level, 1))) for level in range(4))
        self.classify = nn.Conv2d(128, CLASSES, 1)

    @staticmethod
    def _convolution(inside: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inside, 128, 3, 1, 1, bias=False), nn.GroupNorm(32, 128),
                             nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, classes, h, w)."""
        features = [self.stem(images)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        pyramid = [lateral(x) for lateral, x in zip(self.laterals, features[1:])]
        for level in (2, 1, 0):
            pyramid[level] = pyramid[level] + _upsample(pyramid[level + 1], pyramid[level],
                                                        'nearest')
        total = self.levels[0][0](pyramid[0])
        for level in (1, 2, 3):
            x = pyramid[level]
            for place, convolution in enumerate(self.levels[level]):
                x = _upsample(convolution(x), pyramid[level - place - 1], 'bilinear')
            total = total + x
        return self.classify(total)


PEERS: dict[str, Callable[[], nn.Module]] = {
    'segformer_b0': lambda: SegFormer((32, 64, 160, 256)),
    'segformer_b1': lambda: SegFormer((64, 128, 320, 512)),
    'resnet18_fpn': ResNetFpn,
}


def export_peer(name: str, size: tuple[int, int], folder: Path) -> Path:
    """Write a peer with random weights as `NAME.onnx`, as its users do.

    Args:
        name: a key of PEERS.
        size: (height, width) at which it is held against torch; the graph takes others too.
        folder: gets the file.

    Raises:
        ConfigError: if ONNX Runtime and torch disagree.
    """
    torch.manual_seed(0)
    network = PEERS[name]().eval()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{name}.onnx'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of the exporter's age and of traced shapes
        torch.onnx.export(
            network, (torch.zeros(1, 3, *size),), str(path), dynamo=False,
            opset_version=OPSET, input_names=['images'], output_names=['logits'],
            dynamic_axes={'images': {0: 'N', 2: 'H', 3: 'W'}, 'logits': {0: 'N', 2: 'h', 3: 'w'}})
    _check(name, network, size, path)
    return path


def import_peer(path: Path, size: tuple[int, int], folder: Path) -> ModelCard:
    """Make a model of what `export_peer` wrote, in the way of any network from elsewhere."""
    card, _ = import_model(ImportOptions(
        str(path), 'camvid', size, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25),
        licence='for timing only: random weights', check_source='synthetic:11:1',
        out=str(folder), command='benchmarks/peers.py'))
    return card


def _check(name: str, network: nn.Module, size: tuple[int, int], path: Path) -> None:
    images = torch.randn(1, 3, *size)
    with torch.inference_mode():
        right = network(images).numpy()
    found = onnxruntime.InferenceSession(str(path)).run(None, {'images': images.numpy()})[0]
    allowed = LARGEST_DIFFERENCE * np.abs(right).max()
    if right.shape != found.shape or np.abs(right - found).max() > allowed:
        raise ConfigError(f'the export of {name} disagrees with torch at {size[0]}x{size[1]}: try '
                          'another release of transformers or torch')


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Time our variants beside other networks, all with random weights.',
        epilog='example: PYTHONPATH=. python benchmarks/peers.py --size 512x1024')
    parser.add_argument('--model', nargs='+', default=['frm_b0_fast', 'random:frm_b0'],
                        help='ours, as in frm-seg bench (default: %(default)s)')
    parser.add_argument('--peer', nargs='*', default=list(PEERS), choices=PEERS,
                        help='the others, of which the first is the yardstick (default: all)')
    parser.add_argument('--engine', nargs='+', metavar='BACKEND:PRECISION',
                        default=['openvino:float32', 'openvino:bfloat16', 'onnxruntime:float32'],
                        help='one table each (default: %(default)s)')
    for name, default in (('--size', '360x480'), ('--camera', '720x1280')):
        parser.add_argument(name, type=parse_size, default=default, metavar='HxW',
                            help='(default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=50, help='(default: %(default)s)')
    parser.add_argument('--onnx', metavar='DIR',
                        help='write the peers as ONNX files there, to import, and time nothing')
    parser.add_argument('--json', metavar='FILE', help='where the figures go too')
    return parser.parse_args()


def main() -> None:
    """Time them for every backend apart, so that each table has its own yardstick."""
    args = _arguments()
    if args.onnx:
        for name in args.peer:
            print(f'written: {export_peer(name, args.size, Path(args.onnx))}')
        return
    command = shlex.join(['python', *sys.argv])
    results = []
    with TemporaryDirectory() as scratch:
        cards = [import_peer(export_peer(name, args.size, Path(scratch)), args.size,
                             Path(scratch) / name) for name in args.peer]
        cards += [open_card(model, Path(scratch) / model) for model in args.model]
        for engine in args.engine:
            backend, _, precision = engine.partition(':')
            with ExitStack() as stack:
                segmenters = []
                for card in cards:
                    segmenters.append(Segmenter(card, backend, 'cpu', args.size,
                                                precision=precision or 'auto'))
                    stack.callback(segmenters[-1].close)
                results.append(benchmark(segmenters, args.camera, 1, args.rounds, command))
            print(f'{benchmark_table(results[-1])}\n{NOTE}\n', flush=True)
    if args.json:
        write_json(args.json, {'note': NOTE, 'results': results})


if __name__ == '__main__':
    try:
        main()
    except ImportError as error:
        print(f'peers.py: {error}: its first lines say what it needs', file=sys.stderr)
        sys.exit(2)
    except ConfigError as error:
        print(f'peers.py: {error}', file=sys.stderr)
        sys.exit(2)
