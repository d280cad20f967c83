"""Weights as other programs write them, made once from the real ones and kept."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.support import environments, weights
from tests.truth import places

if TYPE_CHECKING:
    from pathlib import Path

    from tests.truth.places import Content

_PARTS = """
import json, sys, torch
from safetensors.torch import load_file, save_file
source, kind, out = sys.argv[1:]
told = load_file(source)
names = sorted(told)
half = len(names) // 2
stem, end = ("model", "safetensors") if kind == "safetensors" else ("pytorch_model", "bin")
place = {}
for number, mine in enumerate((names[:half], names[half:]), 1):
    name = f"{stem}-{number:05}-of-00002.{end}"
    part = {n: told[n].clone() for n in mine}
    if kind == "safetensors":
        save_file(part, f"{out}/{name}", metadata={"format": "pt"})
    else:
        torch.save(part, f"{out}/{name}")
    place |= dict.fromkeys(mine, name)
size = sum(t.numel() * t.element_size() for t in told.values())
text = json.dumps({"metadata": {"total_size": size}, "weight_map": place})
open(f"{out}/{stem}.{end}.index.json", "w").write(text)
"""
_LEGACY = """
import sys, torch
from safetensors.torch import load_file
source, out = sys.argv[1:]
told = load_file(source) if source.endswith("safetensors") else torch.load(source)
torch.save(told, out, _use_new_zipfile_serialization=False)
"""
_FEWER = """
import sys, torch
source, out = sys.argv[1:]
told = torch.load(source)
told["dims"]["n_text_layer"] = 2
torch.save(told, out)
"""
_QUANTISED = """
import json, sys
import mlx.core as mx, mlx.nn as nn
from mlx.utils import tree_flatten
from mlx_whisper.load_models import load_model
source, bits, out = sys.argv[1:]
model = load_model(source, dtype=mx.float16)
nn.quantize(model, group_size=64, bits=int(bits))
mx.save_safetensors(f"{out}/weights.safetensors", dict(tree_flatten(model.parameters())))
told = json.load(open(f"{source}/config.json"))
told["quantization"] = {"group_size": 64, "bits": int(bits)}
json.dump(told, open(f"{out}/config.json", "w"))
"""
_NPZ = """
import sys, numpy
source, how, out = sys.argv[1:]
told = dict(numpy.load(source))
name = "decoder.ln.weight"
if how == "with an array less":
    del told[name]
if how == "with an array more":
    told["mine"] = told[name]
if how == "of 64 bits":
    told[name] = told[name].astype("float64")
save = numpy.savez_compressed if how == "compressed" else numpy.savez
save(open(out, "wb"), **told)
"""


def _made(name: str, python: Path, script: str, *arguments: str) -> Path:
    """Return a file or folder that a script makes at its last argument."""
    path = weights.CACHE / f"truth-{name}"
    done = path.with_name(f"{path.name}.whole")
    if not done.exists():
        if not path.suffix:
            path.mkdir(parents=True, exist_ok=True)
        command = [str(python), "-c", script, *arguments, str(path)]
        subprocess.run(command, check=True, env=weights.ENVIRONMENT)
        done.touch()
    return path


def _folder(path: Path) -> dict[str, Content]:
    return {one.name: one for one in sorted(path.iterdir())}


def parts(kind: str) -> dict[str, Content]:
    """Return transformers' weights in two parts with their index, as `safetensors` or as `bin`."""
    source = weights.require(weights.safetensors_tiny_en)
    return _folder(_made(f"parts-{kind}", environments.torch(), _PARTS, str(source), kind))


def legacy_bin() -> Path:
    """Return transformers' weights as torch before 1.6 wrote them."""
    source = weights.require(weights.safetensors_tiny_en)
    return _made("legacy.bin", environments.torch(), _LEGACY, str(source))


def legacy_openai() -> Path:
    """Return openai-whisper's file as torch before 1.6 wrote it."""
    source = weights.require(weights.openai_tiny_en)
    return _made("legacy.pt", environments.torch(), _LEGACY, str(source))


def openai_of_fewer_layers() -> Path:
    """Return openai-whisper's file with a header of fewer layers than it has."""
    source = weights.require(weights.openai_tiny_en)
    return _made("fewer.pt", environments.torch(), _FEWER, str(source))


def quantised_mlx(bits: int) -> dict[str, Content]:
    """Return MLX's weights with fewer bits."""
    source = weights.require(weights.mlx_tiny_en)
    folder = weights.CACHE / "truth-mlx-plain"
    folder.mkdir(exist_ok=True)
    for name, content in places.mlx("weights.npz").items():
        if not (folder / name).exists():
            (folder / name).symlink_to(source / name)
        assert content
    made = _made(f"mlx-{bits}bit", environments.mlx(), _QUANTISED, str(folder), str(bits))
    return _folder(made)


def npz(how: str) -> Path:
    """Return MLX's weights in the other way that NumPy saves them."""
    source = weights.require(weights.mlx_tiny_en) / "weights.npz"
    name = f"{how.replace(' ', '-')}.npz"
    return _made(name, environments.mlx(), _NPZ, str(source), how)
