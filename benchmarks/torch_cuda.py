"""Speed of backend torch on a CUDA device: the whole way of a batch, and how far from a floor.

Every time is that of a whole call: images in memory at network size in, labels at that size out.
Beside it stands the floor, what no version of this network in this precision can be under:

- `operations`: two for each multiply-accumulate of the convolutions and matrix products, over the
  rate of a large matrix product in the same precision, measured here first;
- `bytes`: weights, images, logits and labels once, over the rate of a large copy on the device,
  reading and writing counted, measured here too;
- `transfer`: images to the device and labels back, over the measured rates of pinned copies. All
  images must be there before the network begins, so this adds to the larger of the two above.

`layers` is no floor: the time in which the inputs and outputs of every layer could be read and
written once, which is what a network that is run layer by layer takes at least.

    PYTHONPATH=. python benchmarks/torch_cuda.py --json cuda.json
    PYTHONPATH=. python benchmarks/torch_cuda.py --device cpu --size 64x96 --batch 1 2 --rounds 3

Weights are random: labels mean nothing, times are those of trained ones, since the decoding on the
device takes as long for any labels.
"""
from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from frm_seg_ros.backends.base import open_backend
from frm_seg_ros.backends.torch_decode import kernel_works
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.size import parse_size
from frm_seg_ros.network.segmentation import build_network, count_macs
from frm_seg_ros.sources.synthetic import render_scene
from frm_seg_ros.tools.conditions import conditions
from frm_seg_ros.tools.evaluate import write_json
from frm_seg_ros.tools.random_model import export_random

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
SIDE = {'cuda': 8192, 'cpu': 512}                 # of the matrices
COPIED = {'cuda': 1 << 30, 'cpu': 1 << 26}        # bytes
REPEATS = 10
WARM_UP = 3


def measure(step: Callable[[], object], device: str) -> float:
    """Give the median seconds of a step; random data, since zeros may run faster."""
    times = []
    for turn in range(WARM_UP + REPEATS):
        if device == 'cuda':
            torch.cuda.synchronize()
        start = time.perf_counter()
        step()
        if device == 'cuda':
            torch.cuda.synchronize()
        if turn >= WARM_UP:
            times.append(time.perf_counter() - start)
    return float(np.median(times))


def measure_rates(device: str, precisions: list[str]) -> dict[str, Any]:
    """Measure operations and bytes a second of the device."""
    side, size = SIDE[device], COPIED[device]
    rates: dict[str, Any] = {'operations': {}}
    for precision in precisions:
        a, b = torch.randn(2, side, side, device=device).to(DTYPES[precision])
        rates['operations'][precision] = 2 * side ** 3 / measure(lambda a=a, b=b: a @ b, device)
    data = torch.randint(256, (size,), dtype=torch.uint8, device=device)
    other = torch.empty_like(data)
    rates['bytes'] = 2 * size / measure(lambda: other.copy_(data), device)
    host = torch.empty(size, dtype=torch.uint8, pin_memory=device == 'cuda')
    rates['upload'] = size / measure(lambda: data.copy_(host, non_blocking=True), device)
    rates['download'] = size / measure(lambda: host.copy_(data, non_blocking=True), device)
    return rates


def layer_elements(card: ModelCard, size: tuple[int, int]) -> int:
    """Count the elements that the layers of a network read and write for one image."""
    total = 0

    def count(_: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() + sum(each.numel() for each in inputs)

    with torch.device('meta'):
        network = build_network(card.architecture).eval()
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.empty((1, 3, *size), device='meta'))
    return total


def floor(card: ModelCard, size: tuple[int, int], batch: int, precision: str,
          rates: dict[str, Any]) -> dict[str, float]:
    """Give the milliseconds of each term of the floor, and their sum as told above."""
    with torch.device('meta'):
        network = build_network(card.architecture)
    pixels = batch * size[0] * size[1]
    width = DTYPES[precision].itemsize
    moved = (sum(value.numel() for value in network.parameters()) * width
             + pixels * (3 + card.architecture['classes'] * width / 16 + 1))
    terms = {
        'operations': 2 * batch * count_macs(network, *size) / rates['operations'][precision],
        'bytes': moved / rates['bytes'],
        'transfer': 3 * pixels / rates['upload'] + pixels / rates['download'],
        'layers': batch * width * layer_elements(card, size) / rates['bytes']}
    terms['floor'] = max(terms['operations'], terms['bytes']) + terms['transfer']
    return {name: 1e3 * seconds for name, seconds in terms.items()}


def run(card: ModelCard, args: argparse.Namespace, size: tuple[int, int],
        rates: dict[str, Any]) -> list[dict[str, Any]]:
    """Time all batches and precisions of a model at one size; precisions take turns."""
    backends = {precision: open_backend('torch', card, args.device, precision)[0]
                for precision in args.precision}
    scene = render_scene(0).image
    rows = []
    for batch in args.batch:
        tiled = np.resize(scene, (batch, *size, 3)).astype(np.uint8)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in backends}
        for turn in range(WARM_UP + args.rounds):
            for precision, backend in backends.items():
                start = time.perf_counter()
                backend.run(tiled, [size] * batch, args.confidence)
                if turn >= WARM_UP:
                    times[precision].append((1e3 * (time.perf_counter() - start),
                                             backend.decode_ms))
        rows += [row(card, size, batch, precision, own, rates) for precision, own in times.items()]
        for each in rows[-len(times):]:
            print(line(each), flush=True)
    for backend in backends.values():
        backend.close()
    return rows


def row(card: ModelCard, size: tuple[int, int], batch: int, precision: str,
        times: list[tuple[float, float]], rates: dict[str, Any]) -> dict[str, Any]:
    """Sum up the times of one case."""
    total, decode = np.array(times).T
    return {'model': card.name, 'size': list(size), 'batch': batch, 'precision': precision,
            'ms': {'median': float(np.median(total)), 'p99': float(np.percentile(total, 99)),
                   'min': float(total.min()), 'decode': float(np.median(decode))},
            'floor_ms': floor(card, size, batch, precision, rates)}


def line(case: dict[str, Any]) -> str:
    """Lay out a case for a terminal."""
    ms, terms = case['ms'], case['floor_ms']
    return (f'{case["model"]:<28} {case["size"][0]}x{case["size"][1]} batch {case["batch"]} '
            f'{case["precision"]:<8} {ms["median"]:9.3f} ms (p99 {ms["p99"]:.3f}, decode '
            f'{ms["decode"]:.3f}), {ms["median"] / terms["floor"]:.1f} x the floor of '
            f'{terms["floor"]:.3f}, layers {terms["layers"]:.3f}, '
            f'{1e3 * case["batch"] / ms["median"]:.0f} images/s')


def device_facts(device: str) -> dict[str, Any]:
    """Name the device and what runs on it."""
    if device == 'cpu':
        return {'device': 'cpu'}
    facts = torch.cuda.get_device_properties(0)
    return {'device': facts.name, 'compute_capability': f'{facts.major}.{facts.minor}',
            'memory_bytes': facts.total_memory, 'cuda': torch.version.cuda,
            'cudnn': torch.backends.cudnn.version(),
            'decoding_kernel': kernel_works(torch.device('cuda', 0))}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Time backend torch on a CUDA device, beside a floor that is measured too.',
        epilog='example: PYTHONPATH=. python benchmarks/torch_cuda.py --json cuda.json')
    parser.add_argument('--random', nargs='+', metavar='VARIANT,KEY=VALUE,...',
                        default=['frm_b0_fast,classes=19', 'frm_b0,classes=19'],
                        help='networks (default: %(default)s)')
    parser.add_argument('--size', nargs='+', type=parse_size, metavar='HxW',
                        default=[(512, 1024), (1024, 2048)],
                        help='(default: 512x1024 1024x2048)')
    parser.add_argument('--batch', nargs='+', type=int, default=[1, 2, 4, 8],
                        help='(default: 1 2 4 8)')
    parser.add_argument('--precision', nargs='+', choices=DTYPES, help='(default: all on CUDA)')
    parser.add_argument('--rounds', type=int, default=50, help='(default: %(default)s)')
    parser.add_argument('--confidence', action='store_true', help='want confidence too')
    parser.add_argument('--device', choices=['cuda', 'cpu'], default='cuda',
                        help='cpu is for trying this program (default: %(default)s)')
    parser.add_argument('--json', metavar='FILE', help='where the figures go too')
    args = parser.parse_args()
    args.precision = args.precision or (list(DTYPES) if args.device == 'cuda' else ['float32'])
    return args


def main() -> None:
    """Measure the rates, then every case."""
    args = _arguments()
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise ConfigError('torch finds no CUDA device: run it where there is one, or try it with '
                          '--device cpu and a small --size')
    rates = measure_rates(args.device, args.precision)
    print('measured: ' + ', '.join(
        f'{precision} {rate / 1e12:.3g} Tflop/s' for precision, rate in
        rates['operations'].items()) + f', copy {rates["bytes"] / 1e9:.4g} GB/s, '
        f'up {rates["upload"] / 1e9:.3g} GB/s, down {rates["download"] / 1e9:.3g} GB/s')
    rows = []
    with TemporaryDirectory() as scratch:
        for place, text in enumerate(args.random):
            folder = Path(scratch) / str(place)
            folder.mkdir()
            card = export_random(text, folder)
            for size in args.size:
                rows += run(card, args, size, rates)
    if args.json:
        write_json(args.json, {
            'command': shlex.join(['python', *sys.argv]), **conditions(),
            **device_facts(args.device), 'weights': 'random', 'rounds': args.rounds,
            'warm_up_rounds': WARM_UP, 'rates_per_s': rates, 'cases': rows})


if __name__ == '__main__':
    try:
        main()
    except ConfigError as error:
        print(f'torch_cuda.py: {error}', file=sys.stderr)
        sys.exit(2)
