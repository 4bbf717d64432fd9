"""Run a model once in one backend: a program that prints what came of it as one line of JSON.

`frm-seg doctor` starts it as a child process, so that a runtime that crashes is a finding.
"""
from __future__ import annotations

import json
import sys

import numpy as np

from frm_seg_ros.backends.base import open_backend
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ModelCard


def main(name: str, model: str) -> int:
    """Print device and precision that the backend `name` takes for `model` by itself.

    Returns:
        0; 2 with one sentence on stderr if it does not run.
    """
    try:
        card = ModelCard.load(model)
        backend, chosen = open_backend(name, card)
        height, width = card.input_size
        backend.run(np.zeros((1, height, width, 3), np.uint8), [(height, width)])
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({'device': backend.device, 'precision': backend.precision,
                      'chosen': chosen}))
    backend.close()
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
