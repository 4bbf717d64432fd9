"""Train variants under one schedule and score them: the ablation, and the trim of the fast model.

    PYTHONPATH=. python benchmarks/compare_training.py ablation --data data/CamVid \
        --config config/train/camvid.yaml --steps 6000 --seeds 1 2 --json ablation.json

Rows of one seed see the same crops in the same order; the last weights count, not the best. A run
that was stopped goes on, one that is finished is scored again, so the command can be repeated.
`trim` also times every candidate with random weights, on an otherwise idle machine:

    PYTHONPATH=. python benchmarks/compare_training.py trim --latency-only --json latency.json
"""
from __future__ import annotations

import argparse
import shlex
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.tools.benchmark import benchmark_table, run_benchmark
from frm_seg_ros.tools.conditions import conditions
from frm_seg_ros.tools.evaluate import run_evaluation, write_json

# Overrides of the configuration by row; the first row is what the others are compared with.
ABLATION = {
    'all of it': [],
    'without the FRM': ['architecture={context: none}'],
    'plain non-local instead of DNL': ['architecture={context: frm_nonlocal}'],
    'only F4 enters the FRM': ['architecture={context: frm_f4}'],
    'PPM instead of the FRM': ['architecture={context: ppm}'],
    'without the contrast': ['contrast_weight=0'],
}
# What may help and is no part of the paper: each has to earn its place.
RECIPE = {
    'as configured': [],
    'without rendered scenes': ['synthetic_scenes=0'],
    'without class weights': ['class_weights=false'],
    'without balanced crops': ['balance=0'],
    'with hard-example mining': ['ohem_threshold=0.7'],
    'cosine': ['schedule=cosine'],
}
# Candidates for frm_b0_fast: arguments of the network in place of the variant's.
TRIM = {
    '64/64': {},
    '64/64 no smooth': {'smooth': False},
    '96/96': {'pyramid_width': 96, 'head_width': 96},
    '128/64 no smooth': {'pyramid_width': 128, 'smooth': False},
    '48/48': {'pyramid_width': 48, 'head_width': 48},
    '64/64 FRM 512': {'refine_width': 512, 'attention_width': 256},
    '64/64 FRM 128': {'refine_width': 128, 'attention_width': 64},
}
SIZES = ((360, 480), (512, 1024))


def rows_of(kind: str) -> dict[str, list[str]]:
    """Give the overrides of every row."""
    if kind == 'trim':
        return {name: ['variant=frm_b0_fast', f'architecture={_flow(arguments)}']
                for name, arguments in TRIM.items()}
    return {'ablation': ABLATION, 'recipe': RECIPE}[kind]


def _flow(arguments: dict[str, Any]) -> str:
    body = ', '.join(f'{key}: {str(value).lower()}' for key, value in arguments.items())
    return f'{{{body}}}'


def train_and_score(args: argparse.Namespace, name: str, overrides: list[str],
                    seed: int) -> dict[str, Any]:
    """Train one row with one seed in a process of its own, and score its last weights."""
    folder = Path(args.out) / args.kind / f'{name.replace(" ", "_").replace("/", "-")}_{seed}'
    command = ['train', args.config, f'sources=[camvid:{args.data}:train]', 'name=model',
               f'seed={seed}', f'steps={args.steps}', *overrides, *args.override]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / 'log.txt', 'a') as log:
        subprocess.run([sys.executable, '-m', 'frm_seg_ros.cli', *command, f'out={folder}'],
                       check=True, stderr=log, stdout=log)
    scores = run_evaluation(f'camvid:{args.data}:val', str(folder / 'model'), backend='torch')
    print(f'{name}, seed {seed}: mIoU {scores["miou"]:.4f}', flush=True)
    return {'seed': seed, 'miou': scores['miou'], 'iou': scores['iou'],
            'frames': scores['frames'], 'command': shlex.join(['frm-seg', *command])}


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """Train all rows with all seeds; the rows' means and spreads, in points of mIoU."""
    rows = {name: overrides for name, overrides in rows_of(args.kind).items()
            if not args.row or name in args.row}
    jobs = [(name, overrides, seed) for seed in args.seeds for name, overrides in rows.items()]
    with ThreadPoolExecutor(args.jobs) as pool:
        runs = list(pool.map(lambda job: train_and_score(args, *job), jobs))
    table = {name: [run for run, job in zip(runs, jobs, strict=True) if job[0] == name]
             for name in rows}
    return {'what': args.kind, 'split': f'CamVid val, {runs[0]["frames"]} frames, last weights',
            'rows': {
        name: {'mean': statistics.mean(run['miou'] for run in found),
               'spread': max(run['miou'] for run in found) - min(run['miou'] for run in found),
               'runs': found} for name, found in table.items()}}


def markdown(result: dict[str, Any]) -> str:
    """Write the table of docs/accuracy.md."""
    first = next(iter(result['rows'].values()))['mean']
    lines = ['| row | mIoU, mean | spread | to the first row | seeds |', '|---|---|---|---|---|']
    for name, row in result['rows'].items():
        lines.append(f'| {name} | {100 * row["mean"]:.2f} | {100 * row["spread"]:.2f} | '
                     f'{100 * (row["mean"] - first):+.2f} | {len(row["runs"])} |')
    return '\n'.join(lines)


def latencies(args: argparse.Namespace) -> dict[str, Any]:
    """Time all candidates of the trim with random weights, in turns, on OpenVINO."""
    models = ['random:frm_b0_fast' + ''.join(f',{key}={value}' for key, value in one.items())
              for one in TRIM.values()]
    found = {}
    for height, width in SIZES:
        result = run_benchmark(models, ['openvino'], device='cpu', size=(height, width),
                               camera=(height, width), batch=1, rounds=args.rounds,
                               command=shlex.join(sys.argv))
        print(benchmark_table(result))
        found[f'{height}x{width}'] = result
    return found


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('kind', choices=['ablation', 'recipe', 'trim'])
    parser.add_argument('--data', default='data/CamVid', help='root of CamVid')
    parser.add_argument('--config', default='config/train/camvid.yaml')
    parser.add_argument('--steps', type=int, default=6000)
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--row', action='append', help='only this row; may be repeated')
    parser.add_argument('--jobs', type=int, default=1, help='trainings side by side')
    parser.add_argument('--rounds', type=int, default=100, help='timed calls of a candidate')
    parser.add_argument('--latency-only', action='store_true', help='time, do not train (trim)')
    parser.add_argument('--out', default='runs/compare', help='folder of the runs')
    parser.add_argument('--json', required=True, metavar='FILE')
    parser.add_argument('override', nargs='*', metavar='KEY=VALUE', help='for all rows')
    args = parser.parse_intermixed_args()
    try:
        if args.latency_only:
            result = latencies(args)
        else:
            result = {**compare(args), 'conditions': conditions()}
            print(markdown(result))
        write_json(args.json, {'command': shlex.join(['python', *sys.argv]), **result})
    except (ConfigError, subprocess.CalledProcessError) as error:
        print(f'compare_training: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
