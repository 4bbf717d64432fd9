"""Draw the pictures of docs/performance.md from the figures in benchmarks/results/.

Needs matplotlib, which comes with cityscapesScripts in the test environment:

    PYTHONPATH=. python benchmarks/plots.py
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('svg')
matplotlib.rcParams.update({'svg.hashsalt': 'frm_seg', 'font.size': 10, 'axes.grid': True,
                            'grid.alpha': 0.3, 'axes.spines.top': False,
                            'axes.spines.right': False})

from matplotlib import pyplot as plt  # noqa: E402  (the backend is chosen first)

from frm_seg_ros.core.model_card import ModelCard  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
RESULTS, IMAGES = ROOT / 'benchmarks' / 'results', ROOT / 'docs' / 'images'
PEER_COLORS = {'segformer_b0': '#d1495b', 'segformer_b1': '#8d5a97', 'resnet18_fpn': '#5f6b6d'}
PRECISION_LINES = {'float32': '-', 'bfloat16': '--', 'int8': ':'}


def _read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / name).read_text(encoding='utf-8'))


def _save(figure: plt.Figure, name: str) -> None:
    figure.savefig(IMAGES / name, bbox_inches='tight', metadata={'Date': None},
                   facecolor='white')
    plt.close(figure)
    print(f'written: docs/images/{name}')


def miou_against_latency(model: str) -> None:
    """Draw our measured points; peers stand as lines, since their mIoU is not compared."""
    card = ModelCard.load(model)
    miou = {name: figures['miou'] for name, rows in card.precisions.items()
            for figures in rows if figures['source'].startswith('camvid:')}
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for run in _read('peers-384x480.json')['results']:
        for each in run['candidates']:
            if each['backend'] != 'openvino':
                continue
            ms, precision = each['ms']['total']['median'], each['precision']
            if each['model'] == model:
                axes.plot(ms, miou[precision], 'o', color='#00798c', markersize=8, zorder=3)
                axes.annotate(f'{model}\n{precision}', (ms, miou[precision]), (0, 9),
                              textcoords='offset points', ha='center')
            elif each['model'] in PEER_COLORS:
                axes.axvline(ms, color=PEER_COLORS[each['model']],
                             linestyle=PRECISION_LINES[precision], alpha=0.8,
                             label=f'{each["model"]}, {precision}: mIoU not compared')
    axes.set(xlabel='ms a frame, network 384x480, labels at 720x1280, OpenVINO on two cores',
             xlim=(0, None), ylabel='mIoU on CamVid val', ylim=(0.4, 0.8))
    axes.legend(fontsize=8, loc='upper left', bbox_to_anchor=(1.0, 1.0), frameon=False)
    _save(figure, 'miou-latency.svg')


def scaling() -> None:
    """Draw how cost grows with pixels, batch and classes."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.4), layout='constrained')
    for axes, part in zip(panels, _read('scaling.json')['sweeps']):
        rows, name = part['rows'], part['sweep']
        x = [row['value'][0] * row['value'][1] / 1e6 if name == 'pixels' else row['value']
             for row in rows]
        if name == 'batch':
            axes.plot(x, [row['per_image'] for row in rows], 'o-', label='total')
            axes.set(ylabel='ms an image')
        else:
            for stage in ('total', 'network', 'decode'):
                axes.plot(x, [row['ms'][stage]['median'] for row in rows], 'o-', label=stage)
            axes.set(ylabel='ms a frame')
        axes.set(xlabel={'pixels': 'megapixels of the network', 'batch': 'images in a batch',
                         'classes': 'classes'}[name], xlim=(0, None), ylim=(0, None))
        axes.legend(fontsize=8, frameon=False)
    _save(figure, 'scaling.svg')


if __name__ == '__main__':
    miou_against_latency('frm_b0_fast')
    scaling()
