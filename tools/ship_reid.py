#!/usr/bin/env python3
"""Write a trained re-ID network as the package ships it: in float16, with what the file says of its training.

Of the classifier, which knows the training people alone and is not used to compare, one class stays.

    python tools/ship_reid.py --run ship --out src/reidgen/assets/reid/reid.safetensors
"""

import argparse
from pathlib import Path

from reidgen.backbones.weights import TRAINED
from reidgen.engine.checkpoint import load_weights, save_weights


def main() -> None:
    """Read, halve, write, and say how large it has become."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder of reidgen train-reid")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    asked = parser.parse_args()
    tensors, described = load_weights(asked.run / TRAINED)
    kept = {name: value[:1] if name.startswith("classifier.") else value for name, value in tensors.items()}
    halved = {name: value.half() if value.is_floating_point() else value for name, value in kept.items()}
    save_weights(asked.out, halved, config={**described, "pids": described["pids"][:1]})
    print(f"{asked.out}: {asked.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
