"""Import of a network from elsewhere, in an ONNX file, as a model like any other."""
from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path, sha256
from frm_seg_ros.core.label_space import IGNORE, LABELS, LabelSpace, names_file
from frm_seg_ros.core.model_card import ONNX, ModelCard
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.segmenter import PLAIN, Segmenter, network_sizes
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.tools.foreign_network import ForeignNetwork, OutputKind
from frm_seg_ros.tools.onnx_graph import give_labels, give_logits, take_rgb

# The least opset that has all operators of `onnx_graph` in the form used there.
LEAST_OPSET = 9
# Networks that take several sizes mostly want sides that their coarsest stride, 32, divides.
_OTHER_SIZE_STEP = 32
# Sums in another order swap the best two logits of a few pixels.
_LEAST_AGREEMENT = 0.999


@dataclass(frozen=True)
class ImportOptions:
    """What has to be known of a network from elsewhere.

    Attributes:
        file: the ONNX file.
        labels: name of the label space of its output, or its YAML file.
        size: (height, width) at which it runs.
        mean: of the images by channel, RGB, on the scale 0..1.
        std: likewise.
        licence: what may be done with the weights.
        check_source: frames, of which the first is labelled before anything is written.
        name: of the model; that of the file when None.
        out: folder of the model, which must be new; the name when None.
        output: which one to take, where the network has several.
        bgr: whether the network takes BGR.
        command: the exact command, for the record.
    """

    file: str
    labels: str
    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    licence: str
    check_source: str
    name: str | None = None
    out: str | None = None
    output: str | None = None
    bgr: bool = False
    command: str = ''


def import_model(options: ImportOptions) -> tuple[ModelCard, dict[str, float]]:
    """Write a model folder of a network from elsewhere, after labelling a frame with it.

    Returns:
        The card, and the share of the frame that each class has got, the largest first.

    Raises:
        ConfigError: if the network cannot be used, or the options do not fit it; nothing is
            written then.
    """
    file = Path(options.file).expanduser()
    name, folder = _target(options, file)
    space = LabelSpace.load(options.labels)
    _check_numbers(options)
    images = _images(options)
    network = ForeignNetwork(file, options.output, options.bgr)
    network.check_size(options.size)
    kind = network.kind(network.run(images[:1], options.mean, options.std), len(space.classes),
                        space.name)
    with TemporaryDirectory() as scratch:
        draft = Path(scratch) / 'model'
        draft.mkdir()
        _write_network(file, network, kind, options.bgr, len(space.classes), draft / ONNX)
        if names_file(options.labels):
            (draft / LABELS).write_text(space.to_yaml(), encoding='utf-8')
        card = ModelCard(
            folder=draft, name=name,
            architecture={'imported': 'labels' if kind.labels else 'logits', 'sizes': 'fixed',
                          'batch': 'one'},
            files={path.name: sha256(path) for path in sorted(draft.iterdir())},
            input_size=options.size, mean=options.mean, std=options.std, label_space=space.name,
            trained_on=f'not told: imported from {file.name}, SHA-256 {sha256(file)}',
            command=f'not told: imported by {options.command}', measured={}, precisions={},
            licence=options.licence)
        card, shares = _try_out(card, network, images)
        card.save()
        with atomic_path(folder) as temporary:
            shutil.copytree(draft, temporary)
    return replace(card, folder=folder), shares


def _target(options: ImportOptions, file: Path) -> tuple[str, Path]:
    """Give the model's name and its folder, which must be new."""
    name = options.name or file.stem
    if Path(name).name != name:
        raise ConfigError(f'{name!r} is no name of a model: leave out folders, which --out names')
    folder = Path(options.out or name).expanduser()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(f'{folder} is there already: remove it, or name another with --out')
    return name, folder


def _check_numbers(options: ImportOptions) -> None:
    network_sizes(options.size, PLAIN)
    if not all(map(math.isfinite, (*options.mean, *options.std))) or min(options.std) <= 0:
        raise ConfigError(f'the mean is {options.mean} and the std {options.std}: wanted are '
                          'three numbers each, those of std above 0, on the scale 0..1')


def _images(options: ImportOptions) -> np.ndarray:
    """Give the first frame at network size, and its mirror image: (2, H, W, 3) uint8."""
    frame = next(iter(open_source(options.check_source)), None)
    if frame is None:
        raise ConfigError(f'{options.check_source} has no frame: name another with --check')
    image = resize_image(frame.image, options.size)
    return np.stack([image, image[:, ::-1]])


def _write_network(file: Path, network: ForeignNetwork, kind: OutputKind, bgr: bool,
                   classes: int, path: Path) -> None:
    """Write the network with its weights into one file, in the form that all models here have."""
    try:
        model = onnx.load(file)
    except Exception as error:  # of protobuf, of onnx, of the file system
        raise ConfigError(f'{file} cannot be read with its external data: {error}') from error
    opset = max((each.version for each in model.opset_import if each.domain in ('', 'ai.onnx')),
                default=0)
    if opset < LEAST_OPSET:
        raise ConfigError(f'{file} is of opset {opset}: export it with {LEAST_OPSET} or later')
    take_rgb(model.graph, network.input_name, network.half, bgr)
    if kind.labels:
        give_labels(model.graph, network.output_name, classes, kind.channel)
    else:
        give_logits(model.graph, network.output_name, kind.probabilities)
    try:
        onnx.save(model, path)
    except Exception as error:  # of protobuf, whose messages end at 2 GiB
        raise ConfigError(f'{file} cannot be written as one file, which ends at 2 GiB: choose a '
                          f'smaller network: {error}') from error


def _try_out(card: ModelCard, network: ForeignNetwork,
             images: np.ndarray) -> tuple[ModelCard, dict[str, float]]:
    """Label the images through the card, and find out which sizes and batches the network takes.

    Many files tell of dynamic axes and fail, or go wrong, off the size of their export.
    """
    segmenter = Segmenter(card, 'onnxruntime', 'cpu')
    labels = np.stack([each.labels for each in segmenter(list(images))])
    height, width = (side + _OTHER_SIZE_STEP for side in card.input_size)
    other = np.stack([resize_image(images[0], (height, width))])

    def run(batch: np.ndarray) -> np.ndarray:
        return np.stack([each[0] for each in segmenter.backend.run(
            batch, [batch.shape[1:3]] * len(batch))])
    many = network.batch is None and _works(lambda: run(images), labels)
    resizes = network.size == (None, None) and _works(lambda: run(other))
    segmenter.close()
    architecture = {**card.architecture, 'sizes': 'any' if resizes else 'fixed',
                    'batch': 'any' if many else 'one'}
    return replace(card, architecture=architecture), _shares(labels[0], segmenter.label_space)


def _works(run: Callable[[], np.ndarray], wanted: np.ndarray | None = None) -> bool:
    try:
        found = run()
    except Exception:  # the runtime raises a dozen kinds of its own
        return False
    return wanted is None or bool((found == wanted).mean() >= _LEAST_AGREEMENT)


def _shares(labels: np.ndarray, space: LabelSpace) -> dict[str, float]:
    counts = np.bincount(labels.ravel(), minlength=IGNORE + 1) / labels.size
    shares = {**dict(zip(space.names, counts)), 'unlabelled': counts[IGNORE]}
    return {name: float(share) for name, share in
            sorted(shares.items(), key=lambda item: -item[1]) if share}


def import_text(card: ModelCard, shares: Mapping[str, float], check_source: str) -> str:
    """Tell in a few lines what was found, so that a wrong order or mean can be seen."""
    takes, gives = card.architecture, card.architecture['imported']
    size = 'any size' if takes['sizes'] == 'any' else '{}x{} only'.format(*card.input_size)
    batch = 'any number of images' if takes['batch'] == 'any' else 'one image at a time'
    doubt = '' if card.has_confidence else ', so there is no confidence'
    found = ', '.join(f'{name} {share:.0%}' for name, share in shares.items())
    return (f'it takes {size} and {batch}, and gives {gives}{doubt}\n'
            f'the first frame of {check_source}: {found}')
