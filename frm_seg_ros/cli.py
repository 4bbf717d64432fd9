"""The command `frm-seg`: predict, eval, report, bench and more.

Only the standard library is loaded before a command is known, so that help comes at once and each
command needs no more than its own packages.
"""
from __future__ import annotations

import argparse
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from frm_seg_ros.core.size import parse_size

# The extra of setup.cfg that brings a package.
_EXTRAS = {'onnx': 'export', 'onnxscript': 'export', 'onnxruntime': 'onnxruntime',
           'openvino': 'openvino', 'rosbags': 'bag', 'safetensors': 'torch', 'torch': 'torch',
           'tensorrt': 'tensorrt', 'cuda': 'tensorrt'}
_SOURCE_HELP = 'such as cityscapes:ROOT:val, synthetic:SEED:COUNT, bag:PATH or images:DIR'
_BACKEND_HELP = 'auto, openvino, onnxruntime, torch or tensorrt'
_PRECISION_HELP = ('auto, float32, bfloat16, float16 or int8; auto takes the fastest that the '
                   "model's card shows to keep its mIoU")
_EXIT_USAGE = 2
_EXIT_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(_EXIT_USAGE, f'{self.prog}: {message}: see {self.prog} --help\n')


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Returns:
        The exit code: 0, 2 for anything wrong, 130 when interrupted; 1 for warnings of doctor.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(arguments)
    args.command_line = shlex.join(['frm-seg', *arguments])
    try:
        return args.run(args) or 0
    except KeyboardInterrupt:
        print(f'frm-seg {args.command}: interrupted', file=sys.stderr)
        return _EXIT_INTERRUPTED
    except Exception as error:
        if args.debug:
            traceback.print_exc()
        print(f'frm-seg {args.command}: {_sentence(error)}', file=sys.stderr)
        return _EXIT_USAGE


def _sentence(error: Exception) -> str:
    """Tell in one line what went wrong, and what to do about it."""
    text = ' '.join(str(error).split())
    package = getattr(error, 'name', None) if isinstance(error, ModuleNotFoundError) else None
    extra = _EXTRAS.get((package or '').partition('.')[0])
    if extra:
        return f'{package} is not installed: pip install frm-seg[{extra}]'
    if isinstance(error, (OSError, _config_error())):
        return text
    return f'{type(error).__name__}: {text}: run it again with --debug for the traceback'


def _config_error() -> type[Exception]:
    from frm_seg_ros.core.errors import ConfigError
    return ConfigError


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog='frm-seg', description='Label the pixels of camera images.',
                     epilog='frm-seg COMMAND --help shows the options and an example')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND',
                                     parser_class=_Parser)
    for add in (_add_predict, _add_eval, _add_report, _add_bench, _add_export, _add_import,
                _add_precisions, _add_train, _add_bag, _add_doctor):
        add(commands)
    return parser


def _command(commands: argparse._SubParsersAction, name: str, run: Callable[..., int | None],
             text: str, example: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f'{text[0].upper()}{text[1:]}.',
                                 epilog=f'example: {example}')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    parser.set_defaults(run=run)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--model', default='frm_b0_fast',
                        help='name of a shipped model, or its folder (default: %(default)s)')
    parser.add_argument('--backend', default='auto',
                        help=f'{_BACKEND_HELP} (default: %(default)s)')
    parser.add_argument('--device', default='auto',
                        help='auto, cpu or cuda (default: %(default)s)')
    parser.add_argument('--precision', default='auto', help=_PRECISION_HELP)
    parser.add_argument('--size', type=parse_size, metavar='HxW',
                        help="size at which the network runs (default: the model's)")
    parser.add_argument('--scales', type=_scales, metavar='S,S,...', default='1',
                        help='run at these multiples of the size and average the probabilities, '
                             'with backend torch (default: %(default)s)')
    parser.add_argument('--flip', action='store_true',
                        help='average with the mirrored image too, with backend torch')


def _scales(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(',')))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is no list of numbers, such as '
                                         '0.5,1,1.5') from None


def _add_predict(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, 'predict', _predict,
                      'label an image, a folder of images, a video, a bag or a source',
                      'frm-seg predict drive.mp4 --out labelled')
    parser.add_argument('input', metavar='INPUT',
                        help=f'an image, folder, video or bag, or a source {_SOURCE_HELP}')
    parser.add_argument('--out', required=True, metavar='DIR',
                        help='gets labels/NAME.png (train ids, 255 = unlabelled) and '
                             'overlay/NAME.jpg')
    parser.add_argument('--ids', action='store_true',
                        help="write the ids of the model's label space in place of train ids, as "
                             'the Cityscapes benchmark wants them')
    parser.add_argument('--force', action='store_true', help='write into DIR though not empty')
    _add_model(parser)


def _predict(args: argparse.Namespace) -> None:
    from frm_seg_ros.segmenter import Segmenter, mode_text
    from frm_seg_ros.tools.predict import check_folder, open_input, predict
    check_folder(args.out, args.force)
    source = open_input(args.input)
    segmenter = Segmenter.open(args.model, args.backend, args.device, args.size, args.scales,
                               args.flip, args.precision)
    try:
        count = predict(source, segmenter, args.out, args.ids)
    finally:
        segmenter.close()
    print(f'{count} frames labelled at {mode_text(args.scales, args.flip)}: {args.out}')


def _add_eval(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, 'eval', _evaluate, 'score a model on frames with truth',
                      'frm-seg eval camvid:CamVid:val --model frm_b0_fast --report val.html')
    parser.add_argument('source', metavar='SOURCE', nargs='?', help=_SOURCE_HELP)
    parser.add_argument('--shard', metavar='I/N',
                        help='evaluate part I of N only (I from 0 on), into --json; a part that '
                             'is there already is not done again')
    parser.add_argument('--merge', metavar='PART', nargs='+',
                        help='add up the JSON files of all parts, in place of a SOURCE')
    parser.add_argument('--map', metavar='FILE',
                        help="map from the model's label space to that of the truth (default: the "
                             'shipped one, config/labels/map)')
    parser.add_argument('--jobs', metavar='N', type=int, default=1,
                        help='divide the frames among N processes (default: %(default)s)')
    parser.add_argument('--json', metavar='FILE', help='write the scores as JSON')
    parser.add_argument('--csv', metavar='FILE', help='write a table with a line a frame as CSV')
    parser.add_argument('--report', metavar='FILE', help='write a report with pictures as HTML')
    parser.add_argument('--force', action='store_true', help='replace files that are there')
    _add_model(parser)
    _add_bag_options(parser.add_argument_group('bags'))


def _add_bag_options(group: argparse._ArgumentGroup) -> None:
    """Add the fields of sources.bag_options.BagOptions, which checks them, under their names."""
    def add(flag: str, dest: str, metavar: str, text: str, **more: Any) -> None:
        group.add_argument(flag, dest=dest, metavar=metavar, help=text,
                           default=argparse.SUPPRESS, **more)
    add('--topic', 'topic', 'TOPIC', 'of the images; give several for several cameras (default: '
        'the only one)', action='append')
    add('--truth-topic', 'truth_topic', 'TOPIC',
        'of the true labels, one a camera (default: the only one that ends in label_image, labels '
        'or truth)', action='append')
    add('--truth-dir', 'truth_dir', 'DIR', 'folder of PNG files with the true labels')
    add('--truth-by', 'truth_by', 'HOW',
        'match those files by stamp (NANOSECONDS.png or SECONDS_NANOSECONDS.png) or by order '
        '(default: stamp)')
    add('--tolerance', 'tolerance_s', 'SECONDS',
        'by how much such a name may differ from the stamp (default: 0)', type=float)
    add('--truth-coding', 'truth_coding', 'CODING',
        'pixels hold train-ids, ids or colors (default: train-ids)')
    add('--truth-space', 'truth_space', 'SPACE', 'label space (default: as the bag tells)')
    group.add_argument('--resize-labels', action='store_true', default=argparse.SUPPRESS,
                       help='bring label images of another size than their image to it, by the '
                            'nearest pixel')
    add('--start', 'start_s', 'SECONDS', "from here on, after the bag's start", type=float)
    add('--end', 'end_s', 'SECONDS', "up to here, exclusive, after the bag's start", type=float)
    add('--stride', 'stride', 'N', 'every N-th image (default: 1)', type=int)
    add('--predictions', 'predictions', 'TOPIC',
        'score the label images recorded there, one topic a camera; no model is used',
        action='append')
    add('--predictions-coding', 'predictions_coding', 'CODING', 'as --truth-coding')
    add('--predictions-space', 'predictions_space', 'SPACE', "label space (default: the truth's)")


def _evaluate(args: argparse.Namespace) -> None:
    from frm_seg_ros.core.errors import ConfigError
    from frm_seg_ros.core.files import check_new_files
    from frm_seg_ros.tools.evaluate import merge_parts, run_evaluation
    from frm_seg_ros.tools.score_text import map_facts, mode_facts, option_facts, score_table
    from frm_seg_ros.tools.shards import Shard
    if bool(args.source) == bool(args.merge):
        raise ConfigError('name a SOURCE, or parts to --merge, and not both: see frm-seg eval '
                          '--help')
    if args.merge and (args.report or args.shard or args.jobs != 1):
        raise ConfigError('parts that are merged have no pictures, are no part and are added up '
                          'by one process: leave --report, --shard and --jobs out')
    # a part that is there is looked at: it may be this one
    check_new_files([None if args.shard else args.json, args.csv, args.report], args.force)
    if args.merge:
        result = merge_parts(args.merge, args.json, args.command_line, args.csv)
    else:
        result = run_evaluation(
            args.source, args.model, backend=args.backend, device=args.device, size=args.size,
            scales=args.scales, flip=args.flip, precision=args.precision, map_path=args.map,
            bag_options=_bag_options(args), shard=Shard.parse(args.shard) if args.shard else None,
            jobs=args.jobs, json_path=args.json, csv_path=args.csv, report_path=args.report,
            command=args.command_line)
    for name, text in {**map_facts(result), **option_facts(result)}.items():
        print(f'{name}: {text}')
    print(score_table(result))
    for name, text in mode_facts(result).items():
        print(f'{name} {text}')
    for path in filter(None, (args.json, args.csv, args.report)):
        print(f'written: {path}')


def _bag_options(args: argparse.Namespace) -> Any:
    from dataclasses import fields

    from frm_seg_ros.sources.bag_options import BagOptions
    names = {field.name for field in fields(BagOptions)}
    told = {key: value for key, value in vars(args).items() if key in names}
    return BagOptions(**{key: ','.join(value) if isinstance(value, list) else value
                         for key, value in told.items()})


def _add_report(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, 'report', _report,
                      'put runs of eval over the same frames side by side, and tell which '
                      'differences mean something', 'frm-seg report a.json b.json --out ab.html')
    parser.add_argument('runs', metavar='FILE', nargs='+',
                        help='JSON of eval; all are compared with the first')
    parser.add_argument('--out', metavar='FILE', help='write the comparison as HTML too')
    parser.add_argument('--force', action='store_true', help='replace a file that is there')


def _report(args: argparse.Namespace) -> None:
    from frm_seg_ros.core.files import check_new_files
    from frm_seg_ros.tools.compare import comparison_text, read_runs
    from frm_seg_ros.tools.compare_page import write_comparison
    check_new_files([args.out], args.force)
    runs = read_runs(args.runs)
    print(comparison_text(runs))
    if args.out:
        write_comparison(args.out, runs, args.command_line)
        print(f'written: {args.out}')


def _add_bench(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, 'bench', _bench,
                      'compare models and backends by their speed, stage by stage',
                      'frm-seg bench --model frm_b0_fast --model random:frm_b0 '
                      '--backend openvino --backend onnxruntime --size 360x480')
    parser.add_argument('--model', action='append',
                        help='name of a shipped model, its folder, or '
                             'random:VARIANT,KEY=VALUE,... for a network with random weights; '
                             'give several to compare them (default: frm_b0_fast)')
    parser.add_argument('--backend', action='append',
                        help=f'{_BACKEND_HELP}; give several, and every model runs on each '
                             '(default: auto)')
    parser.add_argument('--device', default='auto',
                        help='auto, cpu or cuda (default: %(default)s)')
    parser.add_argument('--precision', action='append',
                        help=f'{_PRECISION_HELP}; give several to compare them (default: auto)')
    parser.add_argument('--size', type=parse_size, metavar='HxW',
                        help="size at which the networks run (default: the first model's)")
    parser.add_argument('--camera', type=parse_size, metavar='HxW', default='720x1280',
                        help='size of the images, to which the labels come back '
                             '(default: %(default)s)')
    parser.add_argument('--batch', type=int, default=1, metavar='N',
                        help='images in a call (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=100, metavar='N',
                        help='timed calls of each, which take turns (default: %(default)s)')
    parser.add_argument('--json', metavar='FILE',
                        help='write the figures with the conditions as JSON')


def _bench(args: argparse.Namespace) -> None:
    from frm_seg_ros.tools.benchmark import benchmark_table, run_benchmark
    from frm_seg_ros.tools.evaluate import write_json
    result = run_benchmark(
        args.model or ['frm_b0_fast'], args.backend or ['auto'],
        precisions=args.precision or ['auto'], device=args.device,
        size=args.size, camera=args.camera, batch=args.batch, rounds=args.rounds,
        command=args.command_line)
    print(benchmark_table(result))
    for line in result['left_out']:
        print(f'left out: {line}')
    if args.json:
        write_json(args.json, result)
        print(f'written: {args.json}')


def _add_export(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, 'export', _export, 'write a model for another runtime',
                      'frm-seg export runs/frm_b0_fast/frm_b0_fast --to onnx --out models/mine')
    parser.add_argument('model', metavar='MODEL', help='name of a model, or its folder')
    parser.add_argument('--to', required=True, choices=['onnx', 'tensorrt'],
                        help='the format; tensorrt builds an engine for this machine and keeps it '
                             'in the cache')
    parser.add_argument('--out', metavar='DIR',
                        help="folder of the exported model (default: the model's own)")
    parser.add_argument('--check', metavar='SOURCE', default='synthetic:11:2',
                        help='frames on which the export must agree with torch '
                             '(default: %(default)s)')
    parser.add_argument('--size', action='append', type=parse_size, metavar='HxW',
                        help="size at which it must agree; give several (default: the model's, "
                             'and a smaller, odd one); for tensorrt, of each engine')
    parser.add_argument('--precision', default='auto',
                        help='of an engine: auto, float32, float16 or int8 (default: %(default)s)')
    parser.add_argument('--batch', type=int, default=1, metavar='N',
                        help='most images at a time that an engine takes: 1, 2, 4 or 8 '
                             '(default: %(default)s)')


def _export(args: argparse.Namespace) -> None:
    if args.to == 'tensorrt':
        from frm_seg_ros.core.errors import ConfigError
        from frm_seg_ros.tools.engine import export_engine
        if args.out is not None:
            raise ConfigError('engines go into the cache: leave --out away')
        for line in export_engine(args.model, args.size or (), args.precision, args.batch,
                                  args.check):
            print(line)
        return
    from frm_seg_ros.tools.export import export_model
    print(f'written: {export_model(args.model, args.out, args.check, args.size or ())}')


def _add_import(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, 'import', _import,
                      'make a model of a network from elsewhere that lies in an ONNX file',
                      'frm-seg import segformer_b0.onnx --labels cityscapes --size 512x1024 '
                      '--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225')
    parser.add_argument('file', metavar='FILE', help='ONNX file, its external data beside it')
    parser.add_argument('--labels', required=True, metavar='SPACE',
                        help='label space of its output, such as cityscapes, or a YAML file')
    parser.add_argument('--size', required=True, type=parse_size, metavar='HxW',
                        help='size at which it runs')
    for name in ('mean', 'std'):
        parser.add_argument(f'--{name}', required=True, type=_channels, metavar='R,G,B',
                            help=f'{name} of the images that it was trained on, on the scale 0..1')
    parser.add_argument('--name', help='of the model (default: that of FILE)')
    parser.add_argument('--out', metavar='DIR',
                        help='folder of the model, a new one (default: its name)')
    parser.add_argument('--output', metavar='NAME', help='output to take, where there are several')
    parser.add_argument('--input-order', choices=['rgb', 'bgr'], default='rgb',
                        help='order of the channels that it takes (default: %(default)s)')
    parser.add_argument('--licence', default='not told: ask the publisher of the weights',
                        metavar='TEXT', help='what may be done with the weights')
    parser.add_argument('--check', metavar='SOURCE', default='synthetic:11:1',
                        help='its first frame is labelled before anything is written '
                             '(default: %(default)s)')


def _channels(text: str) -> tuple[float, float, float]:
    try:
        red, green, blue = map(float, text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not three numbers, such as '
                                         '0.485,0.456,0.406') from None
    return red, green, blue


def _import(args: argparse.Namespace) -> None:
    from frm_seg_ros.tools.import_model import ImportOptions, import_model, import_text
    card, shares = import_model(ImportOptions(
        file=args.file, labels=args.labels, size=args.size, mean=args.mean, std=args.std,
        name=args.name, out=args.out, output=args.output, bgr=args.input_order == 'bgr',
        licence=args.licence, check_source=args.check, command=args.command_line))
    print(import_text(card, shares, args.check))
    print(f'written: {card.folder}')


def _add_precisions(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, 'precisions', _precisions,
                      'measure what bfloat16, float16 and int8 cost a model in mIoU, make its '
                      'int8 file, and write the figures into the card, by which auto chooses',
                      'frm-seg precisions frm_b0_fast --calibrate camvid:CamVid:train '
                      '--measure camvid:CamVid:val synthetic:101:20')
    parser.add_argument('model', metavar='MODEL', help='name of a model, or its folder')
    parser.add_argument('--calibrate', metavar='SOURCE', nargs='+', default=[],
                        help='frames to quantise by; the int8 file is kept where mIoU falls by '
                             'less than 1 point (default: the int8 file stays as it is)')
    parser.add_argument('--measure', metavar='SOURCE', nargs='+', required=True,
                        help='frames with truth that the model was not made of; the source with '
                             'the largest loss decides')
    parser.add_argument('--frames', type=int, default=64, metavar='N',
                        help='how many of each source are used to quantise, evenly spread '
                             '(default: %(default)s)')
    parser.add_argument('--backend', default='openvino',
                        help=f'{_BACKEND_HELP} (default: %(default)s)')
    parser.add_argument('--device', default='auto',
                        help='auto, cpu or cuda (default: %(default)s)')


def _precisions(args: argparse.Namespace) -> None:
    from frm_seg_ros.tools.precisions import measure_precisions
    for line in measure_precisions(
            args.model, args.calibrate, args.measure, backend=args.backend, device=args.device,
            frames=args.frames, command=args.command_line):
        print(line)


def _add_train(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, 'train', _train, 'train a model as a configuration file says',
                      'frm-seg train config/train/camvid.yaml sources=[camvid:data/CamVid:train]')
    parser.add_argument('config', metavar='CONFIG', help='YAML file')
    parser.add_argument('overrides', nargs='*', metavar='KEY=VALUE',
                        help='values in place of those in the file')


def _train(args: argparse.Namespace) -> None:
    from frm_seg_ros.training.loop import train
    folder = train(args.config, args.overrides)
    if os.environ.get('RANK', '0') == '0':   # the first process that torchrun started writes
        print(f'written: {folder}')


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, 'doctor', _doctor,
                      'tell what keeps images from being labelled here, and what mends it; the '
                      'exit code is 0 for nothing, 1 for warnings, 2 for what is broken',
                      'frm-seg doctor --seconds 5')
    parser.add_argument('--model', default='frm_b0_fast',
                        help='name of a shipped model, or its folder: run once in every backend '
                             '(default: %(default)s)')
    parser.add_argument('--seconds', type=float, default=3.0, metavar='S',
                        help='how long cameras are listened to (default: %(default)s)')
    parser.add_argument('--json', action='store_true', help='print facts and findings as JSON')


def _doctor(args: argparse.Namespace) -> int:
    from frm_seg_ros.tools.doctor import run
    return run(args.model, args.seconds, args.json)


def _add_bag(commands: argparse._SubParsersAction) -> None:
    bag = commands.add_parser('bag', help='write a bag, or tell what is in one')
    actions = bag.add_subparsers(dest='action', required=True, metavar='ACTION',
                                 parser_class=_Parser)
    make = _command(actions, 'make', _bag_make, 'write the frames and truth of a source to a bag',
                    'frm-seg bag make synthetic:7:200 drive --rate 10')
    make.add_argument('source', metavar='SOURCE', help=_SOURCE_HELP)
    make.add_argument('out', metavar='OUT',
                      help='folder of the bag; its camera_info is nominal, unless SOURCE is a bag '
                           'that has one')
    make.add_argument('--rate', type=float, metavar='HZ',
                      help="frames a second (default: the source's)")
    make.add_argument('--storage', choices=['mcap', 'sqlite3'], default='mcap',
                      help='file format (default: %(default)s)')
    make.add_argument('--force', action='store_true', help='replace a bag that is there')
    annotate = _command(actions, 'annotate', _bag_annotate,
                        'copy a bag with the labels that a model gives its images',
                        'frm-seg bag annotate drive labelled --overlay')
    annotate.add_argument('path', metavar='IN', help='folder of a bag, or its file')
    annotate.add_argument('out', metavar='OUT', help='folder of the new bag')
    annotate.add_argument('--topic', action='append', default=[], metavar='TOPIC',
                          help='of the images; give several for several cameras (default: the '
                               'only one)')
    annotate.add_argument('--overlay', action='store_true',
                          help='write the labels in colours over the images too')
    annotate.add_argument('--prefix', default='/frm_seg', metavar='NAME',
                          help='of the new topics (default: %(default)s, as the node has them)')
    annotate.add_argument('--storage', choices=['mcap', 'sqlite3'], default='mcap',
                          help='file format (default: %(default)s)')
    annotate.add_argument('--force', action='store_true',
                          help='replace a bag that is there, and leave topics of IN out that have '
                               'the names of the new ones')
    _add_model(annotate)
    info = _command(actions, 'info', _bag_info, 'tell what is in a bag', 'frm-seg bag info drive')
    info.add_argument('path', metavar='PATH', help='folder of a bag, or its file')


def _bag_make(args: argparse.Namespace) -> None:
    from frm_seg_ros.tools.make_bag import make_bag
    from frm_seg_ros.tools.progress import ProgressLine
    count = make_bag(args.source, args.out, rate_hz=args.rate, storage=args.storage,
                     force=args.force, progress=ProgressLine('frames'))
    print(f'{count} frames written: {args.out}')


def _bag_annotate(args: argparse.Namespace) -> None:
    from frm_seg_ros.segmenter import Segmenter
    from frm_seg_ros.tools.annotate_bag import Annotator
    from frm_seg_ros.tools.progress import ProgressLine
    annotator = Annotator(args.path, args.out, args.topic, args.overlay, args.storage, args.prefix,
                          args.force)
    segmenter = Segmenter.open(args.model, args.backend, args.device, args.size, args.scales,
                               args.flip, args.precision)
    try:
        done = annotator.run(segmenter, ProgressLine('images'))
    finally:
        segmenter.close()
    for topic, prefix in annotator.topics.items():
        print(f'{topic}: labels on {prefix}/label_image')
    for line in done.left_out:
        print(f'left out: {line}')
    print(f'{done.labelled} images labelled, {done.copied} messages copied: {args.out}')


def _bag_info(args: argparse.Namespace) -> None:
    from frm_seg_ros.tools.make_bag import bag_info, format_bag_info
    print(format_bag_info(bag_info(args.path)))


if __name__ == '__main__':
    sys.exit(main())
