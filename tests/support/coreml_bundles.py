"""Compiled Core ML bundles, true in structure and small.

    <name>.mlmodelc/
      coremldata.bin
      analytics/coremldata.bin
      metadata.json
      model.mil             names each blob of weight.bin by its offset
      weights/weight.bin    written by coremltools' own blob writer

No engine can run them: Apple does not describe `coremldata.bin`, here it has only its usual size.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Blob: TypeAlias = NDArray[np.generic] | int

_TYPES = {"float16": "fp16", "float32": "fp32"}
_MIL = {
    "ios17": (
        "program(1.0)",
        'BLOBFILE(path = tensor<string, []>("@model_path/weights/weight.bin"), '
        "offset = tensor<uint64, []>({offset}))",
        'tensor<string, []>("{name}")',
    ),
    "ios18": (
        "program(1.3)",
        'BLOBFILE(path = string("@model_path/weights/weight.bin"), offset = uint64({offset}))',
        'string("{name}")',
    ),
}


def make_bundle(
    folder: Path,
    *,
    weights: Sequence[Blob],
    seed: int,
    target: Literal["ios17", "ios18"] = "ios17",
) -> None:
    """Write a compiled bundle; the same arguments make the same bytes.

    A number among the weights stands for that many fp16 values, drawn from `seed`. The two targets
    spell a blob's offset differently. Without weights there is no `weight.bin`, as in a graph
    without constants.
    """
    import numpy as np

    arrays = [
        np.frombuffer(_bytes(f"{seed}/{number}", 2 * blob), "<f2")
        if isinstance(blob, int)
        else blob
        for number, blob in enumerate(weights)
    ]
    (folder / "analytics").mkdir(parents=True)
    (folder / "analytics" / "coremldata.bin").write_bytes(_coremldata(f"{seed}/analytics", 243))
    size_bytes = 243 + 32 * min(len(arrays), 14)
    (folder / "coremldata.bin").write_bytes(_coremldata(f"{seed}/model", size_bytes))
    offsets = []
    if arrays:
        (folder / "weights").mkdir()
        offsets = _write_blobs(folder / "weights" / "weight.bin", arrays)
    (folder / "model.mil").write_text(_mil(arrays, offsets, target), encoding="utf-8")
    (folder / "metadata.json").write_text(_metadata(folder.stem, target), encoding="utf-8")


def fluidaudio_v3(folder: Path) -> None:
    """Write a complete Parakeet v3 folder, as FluidAudio before and after 0.14.1 wants it.

    Source: FluidInference/FluidAudio@8a2bf2c0 ModelNames.swift; #515
    """
    bundles: list[tuple[str, list[Blob], Literal["ios17", "ios18"]]] = [
        ("Preprocessor", [257 * 8, 512], "ios17"),
        ("Encoder", [64 * 128, 128, 128 * 64, 64, 96 * 96], "ios17"),
        ("Decoder", [33 * 64, 64 * 64], "ios17"),
        ("JointDecision", [64 * 33, 33], "ios17"),
        ("JointDecisionv3", [64 * 33, 33, 5], "ios18"),
    ]
    for seed, (name, weights, target) in enumerate(bundles, 1):
        make_bundle(folder / f"{name}.mlmodelc", weights=weights, seed=seed, target=target)
    tokens = ["<unk>", "▁", *(f"▁{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"), ".", ","]
    vocabulary = {str(number): token for number, token in enumerate(tokens)}
    (folder / "parakeet_vocab.json").write_text(
        json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8"
    )
    (folder / "config.json").write_text("{}\n", encoding="utf-8")


def _write_blobs(path: Path, arrays: Sequence[NDArray[np.generic]]) -> list[int]:
    """Return the offset of each blob's record."""
    writer = _storage()._BlobStorageWriter(str(path))
    offsets = []
    for array in arrays:
        kind = array.dtype.name
        if kind == "float16":
            offset = writer.write_fp16_data(array.ravel().view("<u2"))
        else:
            name = {"float32": "float"}.get(kind, kind)
            offset = getattr(writer, f"write_{name}_data")(array.ravel())
        offsets.append(int(offset))
    del writer
    return offsets


def _storage() -> Any:
    """Load only coremltools' blob writer: the package warns on every platform but macOS."""
    package = importlib.util.find_spec("coremltools")
    if package is None or not package.submodule_search_locations:
        pytest.skip("coremltools is not installed")
    folder = Path(package.submodule_search_locations[0])
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = folder / f"libmilstoragepython{suffix}"
        spec = importlib.util.spec_from_file_location("libmilstoragepython", path)
        if path.exists() and spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    pytest.skip("coremltools has no blob writer on this platform")


def _mil(
    arrays: Sequence[NDArray[np.generic]], offsets: Sequence[int], target: Literal["ios17", "ios18"]
) -> str:
    program, blobfile, text = _MIL[target]
    lines = [program, "{", f"    func main<{target}>(tensor<fp32, [1, 80]> x) {{"]
    for number, (array, offset) in enumerate(zip(arrays, offsets, strict=True)):
        kind = _TYPES.get(array.dtype.name, array.dtype.name)
        shape = f"tensor<{kind}, [{', '.join(map(str, array.shape))}]>"
        name = f"weight_{number}"
        lines.append(
            f"        {shape} {name} = const()[name = {text.format(name=name)}, "
            f"val = {shape}({blobfile.format(offset=offset)})];"
        )
    lines += ["    } -> (x);", "}"]
    return "\n".join(lines) + "\n"


def _metadata(name: str, target: Literal["ios17", "ios18"]) -> str:
    model = {
        "metadataOutputVersion": "3.0",
        "storagePrecision": "Float16",
        "specificationVersion": 8 if target == "ios17" else 9,
        "modelType": {"name": "MLModelType_mlProgram"},
        "generatedClassName": name,
        "method": "predict",
    }
    return json.dumps([model], indent=2) + "\n"


def _coremldata(seed: str, size_bytes: int) -> bytes:
    head = b"\0\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0main\x09\0\0\0\0\0\0\0mlProgram"
    return head + _bytes(seed, size_bytes - len(head))


def _bytes(seed: str, size_bytes: int) -> bytes:
    return hashlib.shake_256(seed.encode()).digest(size_bytes)
