"""What float16 and int8 cost in mIoU, as TensorRT is given them, computed on the CPU.

ONNX Runtime runs the very networks that engines are built from, without any optimisation, so that
every tensor is rounded as it stands there; a GPU adds up in another order, and so differs in a few
near-ties. Run it from the root of the repository, where onnxruntime and onnx are installed:

    PYTHONPATH=. python benchmarks/low_precision.py camvid:CamVid:val --json low.json
"""
from __future__ import annotations

import argparse
import shlex
import sys

import onnxruntime

from frm_seg_ros.backends.tensorrt_network import PIXELS, load_network
from frm_seg_ros.core.decode import decode
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.metrics import ConfusionMatrix
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.core.size import parse_size
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.tools.conditions import conditions
from frm_seg_ros.tools.evaluate import write_json


def open_network(card: ModelCard, size: tuple[int, int],
                 precision: str) -> onnxruntime.InferenceSession:
    """Open what an engine is built from in ONNX Runtime, exactly as it stands."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    network = load_network(card, size, precision, typed=True)
    return onnxruntime.InferenceSession(network.SerializeToString(), options,
                                        providers=['CPUExecutionProvider'])


def score(card: ModelCard, source: str, size: tuple[int, int], precision: str) -> dict:
    """Give mIoU and frames of one precision."""
    network = open_network(card, size, precision)
    frames = open_source(source)
    counts = ConfusionMatrix(card.load_label_space().classes)
    number = 0
    for frame in frames:
        pixels = resize_image(frame.image, size)[None]
        logits = network.run(None, {PIXELS: pixels})[0][0]
        counts.update(frame.truth, decode(logits, frame.image.shape[:2])[0])
        number += 1
    return {'precision': precision, 'size': list(size), 'frames': number,
            'miou': counts.scores().miou}


def main() -> None:
    """Score the precisions asked for."""
    parser = argparse.ArgumentParser(
        description='Score float16 and int8 as TensorRT is given them, on the CPU.',
        epilog='example: PYTHONPATH=. python benchmarks/low_precision.py camvid:CamVid:val')
    parser.add_argument('source', help='frames with truth in the label space of the model')
    parser.add_argument('--model', default='frm_b0_fast', help='(default: %(default)s)')
    parser.add_argument('--precision', nargs='+', default=['float32', 'float16', 'int8'],
                        choices=['float32', 'float16', 'int8'], help='(default: all)')
    parser.add_argument('--size', nargs='+', type=parse_size, metavar='HxW',
                        help="of the network (default: the card's)")
    parser.add_argument('--json', metavar='FILE', help='where the figures go too')
    args = parser.parse_args()
    card = ModelCard.load(args.model)
    results = []
    for size in args.size or [card.input_size]:
        for precision in args.precision:
            results.append(score(card, args.source, size, precision))
            print('{precision} at {size[0]}x{size[1]}: mIoU {miou:.4f}, {frames} frames'.format(
                **results[-1]), flush=True)
    if args.json:
        write_json(args.json, {'command': shlex.join(['python', *sys.argv]), 'model': card.name,
                               'sha256': card.files, 'source': args.source, **conditions(),
                               'results': results})


if __name__ == '__main__':
    try:
        main()
    except ConfigError as error:
        print(f'low_precision.py: {error}', file=sys.stderr)
        sys.exit(2)
