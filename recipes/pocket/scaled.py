"""The pocket with longer or shorter word vectors: another parametrisation of the very same function.

``python -m recipes.pocket.scaled --scale 0.21 --out build/scaled`` writes a folder for ``--model``. The pocket's word
vectors have norms of about 1.9, CLIP-L's of 0.4: settings that shall hold for both can be tried on both. Embeddings and
the output of every residual branch are multiplied alike, so the whole residual stream is; the layer norms that
everything reads it through divide it out again, their epsilon scaled by the square.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

from photowords import pocket

STREAM = ("token_embedding.weight", "position_embedding.weight")
BRANCHES = ("self_attn.out_proj.", "mlp.fc2.")


def save(folder: Path, scale: float) -> None:
    """Write the scaled pocket into a folder that is not there yet. Raises FileExistsError where it is."""
    shutil.copytree(pocket.PIPELINE, folder)
    weights = folder / "text_encoder" / "model.safetensors"
    tensors = load_file(weights)
    scaled = {
        name: (tensor.float() * scale if name.endswith(STREAM) or any(b in name for b in BRANCHES) else tensor.float())
        for name, tensor in tensors.items()
    }
    save_file(scaled, weights, {"format": "pt"})
    config = folder / "text_encoder" / "config.json"
    told = json.loads(config.read_text())
    changed = {"layer_norm_eps": told.get("layer_norm_eps", 1e-5) * scale**2, "dtype": "float32"}
    config.write_text(json.dumps({**told, **changed}, indent=2) + "\n")
    world = folder / "world.json"
    told = json.loads(world.read_text())
    told["readers"] = {reader: str((pocket.PIPELINE / place).resolve()) for reader, place in told["readers"].items()}
    world.write_text(json.dumps(told, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Save the pocket with its word vectors multiplied, the function the same."
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=0.21,
        help="what they are multiplied by (default: 0.21, which makes them as long as CLIP-L's)",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    args = parser.parse_args()
    if args.scale <= 0:
        print(f"error: --scale is {args.scale}, but it must be above 0", file=sys.stderr)
        return 2
    try:
        save(args.out, args.scale)
    except FileExistsError:
        print(f"error: {args.out} is there already; give another folder to --out", file=sys.stderr)
        return 2
    print(f"{args.out}: try it with --model {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
