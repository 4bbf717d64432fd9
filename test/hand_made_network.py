"""An FRM network with weights set by hand, so that its right answer is known."""
from __future__ import annotations

from pathlib import Path

import torch

from frm_seg_ros.core.files import sha256
from frm_seg_ros.core.model_card import WEIGHTS, ModelCard
from frm_seg_ros.network.segmentation import VARIANTS, build_network
from frm_seg_ros.network.weights import save_weights

ARCHITECTURE = {**VARIANTS['frm_b0_fast'], 'classes': 11, 'smooth': False}


def write_hand_made(folder: Path) -> Path:
    """Write a model that says 8 (car) where a picture is brighter than mid-grey, else 3 (road).

    Channel 0 of the stem is (R + G + B) of one pixel, channel 1 its negative; every other path is
    zero. LayerNorm keeps the sign, the head passes both through ReLU, the classes read them.
    """
    network = build_network(ARCHITECTURE)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                for tensor in layer.parameters():
                    tensor.zero_()
        for name, tensor in network.named_parameters():
            if 'layer_scale' in name:
                tensor.zero_()
        network.backbone.patch_embed1.proj.weight[0, :, 3, 3] = 1
        network.backbone.patch_embed1.proj.weight[1, :, 3, 3] = -1
        level = network.head.levels[0][0][0]
        for channel in (0, 1):
            network.pyramid.lateral[0].weight[channel, channel] = 1
            level.weight[channel, channel, 1, 1] = 1
        network.head.classify.weight[8, 0] = 1
        network.head.classify.weight[3, 1] = 1
        network.head.classify.bias[:] = -10
        network.head.classify.bias[[3, 8]] = 0
    save_weights(network, folder / WEIGHTS)
    card = ModelCard(
        folder=folder, name='hand_made', architecture=ARCHITECTURE,
        files={WEIGHTS: sha256(folder / WEIGHTS)}, input_size=(96, 128), mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25), label_space='camvid', trained_on='nothing', command='by hand',
        measured={}, precisions={}, licence='as the package')
    card.save()
    return folder
