"""Time decoding against other ways to do it, on the logits of the shipped model for real frames.

Every decoder gets logits that the network has just written, so the caches are as they are in life.
What decoding inside the graph costs is told by the runtime's own counters. Run it from the root of
the repository:

    PYTHONPATH=. python benchmarks/decoding.py --source camvid:data/CamVid:val --json decoding.json
"""
from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import openvino
import openvino.opset13 as ops

from frm_seg_ros.core.decode import decode
from frm_seg_ros.core.model_card import INT8, ONNX, ModelCard
from frm_seg_ros.core.normalise import normalise
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.core.size import parse_size
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.tools.conditions import OtherPrograms, conditions
from frm_seg_ros.tools.evaluate import write_json
from frm_seg_ros.tools.quantise import evenly_spread

HINTS = {'float32': 'f32', 'bfloat16': 'bf16', 'int8': 'bf16'}
WARM_UP_ROUNDS = 2
IN_GRAPH = 'Interpolate and TopK in the graph'


def running_maximum(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Decode class by class: up-sample by OpenCV, keep the largest so far; on all its threads."""
    wide = size[::-1]
    best = cv2.resize(logits[0], wide, interpolation=cv2.INTER_LINEAR)
    labels = np.zeros(size, np.uint8)
    for k in range(1, len(logits)):
        values = cv2.resize(logits[k], wide, interpolation=cv2.INTER_LINEAR)
        larger = cv2.compare(values, best, cv2.CMP_GT)
        cv2.max(values, best, dst=best)
        cv2.copyTo(np.full(size, k, np.uint8), larger, labels)
    return labels


DECODERS: dict[str, Callable[[np.ndarray, tuple[int, int]], np.ndarray]] = {
    'decode': lambda logits, size: decode(logits, size)[0],
    'decode with confidence': lambda logits, size: decode(logits, size, True)[0],
    'cv2.resize and running maximum': running_maximum,
}


def compile_graph(card: ModelCard, precision: str, network: tuple[int, int],
                  labels: tuple[int, int] | None = None) -> openvino.CompiledModel:
    """Compile the network, with Interpolate and TopK behind it where a size of labels is told."""
    model = openvino.Core().read_model(card.file(INT8 if precision == 'int8' else ONNX))
    model.reshape([1, 3, *network])
    if labels:
        logits = model.get_results()[0].input_value(0)
        large = ops.interpolate(logits, np.int64(labels), 'linear_onnx', 'sizes',
                                axes=np.int64([2, 3]),
                                coordinate_transformation_mode='half_pixel')
        winner = ops.topk(large, np.int64(1), 1, 'max', 'index', index_element_type='i32')
        large.set_friendly_name(f'{IN_GRAPH} resize')
        winner.set_friendly_name(f'{IN_GRAPH} winner')
        model = openvino.Model([ops.convert(winner.output(1), 'u8')], model.get_parameters())
    return openvino.Core().compile_model(model, 'CPU', {
        'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': HINTS[precision],
        'PERF_COUNT': labels is not None})


def run(graph: openvino.CompiledModel, image: np.ndarray) -> tuple[np.ndarray, float]:
    """Run twice, since others have emptied the caches; time the second, in milliseconds."""
    graph(image)
    start = time.perf_counter()
    output = graph(image)[0]
    return output, 1e3 * (time.perf_counter() - start)


def inside(request: openvino.InferRequest, image: np.ndarray) -> float:
    """Run a graph with decoding; give the milliseconds of that, by the runtime's counters."""
    request.infer([image])
    return sum(1e3 * node.real_time.total_seconds() for node in request.profiling_info
               if IN_GRAPH in node.node_name)


def time_precision(card: ModelCard, precision: str, images: Sequence[np.ndarray],
                   camera: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Give the least times, as other programs only add to them, of network and each decoder."""
    network = images[0].shape[2:]
    plain = compile_graph(card, precision, network)
    whole = compile_graph(card, precision, network, camera).create_infer_request()
    times: dict[str, list[float]] = {}
    for turn in range(WARM_UP_ROUNDS + rounds):
        image = images[turn % len(images)]
        found = {IN_GRAPH: inside(whole, image)}
        for name, decoder in DECODERS.items():
            logits, found['network'] = run(plain, image)
            start = time.perf_counter()
            decoder(logits[0], camera)
            found[name] = 1e3 * (time.perf_counter() - start)
        if turn >= WARM_UP_ROUNDS:
            for name, value in found.items():
                times.setdefault(name, []).append(value)
    least = {name: min(values) for name, values in times.items()}
    medians = {name: float(np.median(values)) for name, values in times.items()}
    return {'precision': precision, 'ms': least, 'median_ms': medians, 'share_of_network': {
        name: value / least['network'] for name, value in least.items() if name != 'network'}}


def exact(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Up-sample (classes, h, w) in float64, straight from the definition."""
    result = logits.astype(np.float64)
    for axis, wanted in ((1, size[0]), (2, size[1])):
        coarse = result.shape[axis]
        place = np.clip((np.arange(wanted) + 0.5) * coarse / wanted - 0.5, 0, coarse - 1)
        low = np.floor(place).astype(int)
        weight = (place - low).reshape([-1 if a == axis else 1 for a in range(3)])
        high = np.minimum(low + 1, coarse - 1)
        result = (1 - weight) * result.take(low, axis) + weight * result.take(high, axis)
    return result


def wrong_pixels(card: ModelCard, images: Sequence[np.ndarray],
                 camera: tuple[int, int]) -> dict[str, int]:
    """Count, for each way, the pixels whose label is no winner of the definition by 4 ulp."""
    network = images[0].shape[2:]
    plain = compile_graph(card, 'float32', network)
    whole = compile_graph(card, 'float32', network, camera)
    wrong: dict[str, int] = {}
    for image in images:
        logits = plain(image)[0][0]
        labels = {name: decoder(logits, camera) for name, decoder in DECODERS.items()}
        labels[IN_GRAPH] = whole(image)[0][0, 0]
        right = exact(logits, camera)
        allowed = right.max(0) - 4 * np.spacing(np.abs(logits).max())
        for name, each in labels.items():
            score = np.take_along_axis(right, each[None].astype(int), 0)[0]
            wrong[name] = wrong.get(name, 0) + int((score < allowed).sum())
    return wrong


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time decoding against other ways to do it.')
    parser.add_argument('--source', required=True, help='frames, such as camvid:data/CamVid:val')
    parser.add_argument('--model', default='frm_b0_fast', help='(default: %(default)s)')
    parser.add_argument('--precision', nargs='+', choices=HINTS, default=list(HINTS),
                        help='(default: all)')
    for name, default in (('--size', '512x1024'), ('--camera', '720x1280')):
        parser.add_argument(name, type=parse_size, default=default, metavar='HxW',
                            help='(default: %(default)s)')
    parser.add_argument('--frames', type=int, default=4, help='(default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=16, help='(default: %(default)s)')
    parser.add_argument('--json', metavar='FILE', help='where the figures go too')
    return parser.parse_args()


def main() -> None:
    """Time, check, print and write."""
    args = _arguments()
    card = ModelCard.load(args.model)
    source = open_source(args.source)
    chosen = evenly_spread(len(source), args.frames)
    images = [normalise(resize_image(frame.image, args.size)[None], card.mean, card.std)
              for index, frame in enumerate(source) if index in chosen]
    others = OtherPrograms()
    timed = []
    for precision in args.precision:
        row = time_precision(card, precision, images, args.camera, args.rounds)
        print(f'{precision}: network {row["ms"]["network"]:.1f} ms')
        for name, share in row['share_of_network'].items():
            print(f'  {name:<36}{row["ms"][name]:8.2f} ms {share:7.1%}', flush=True)
        timed.append(row)
    busy = others.cores()
    print(f'other programs kept {busy or 0:.2f} cores busy meanwhile', flush=True)
    wrong = wrong_pixels(card, images, args.camera)
    for name, count in wrong.items():
        print(f'{name}: {count} pixels not exact')
    if args.json:
        write_json(args.json, {
            'command': shlex.join(['python', *sys.argv]), **conditions(),
            'cores_busy_with_others': busy, 'model': card.name, 'sha256': card.files,
            'source': args.source, 'frames': len(images), 'network_size': list(args.size),
            'camera_size': list(args.camera), 'rounds': args.rounds, 'precisions': timed,
            'pixels': len(images) * args.camera[0] * args.camera[1],
            'pixels_not_exact': wrong})


if __name__ == '__main__':
    main()
