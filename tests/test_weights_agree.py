"""What small files say is held against the front of the weights, however those are written."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from cachedoctor import preflight
from cachedoctor.errors import UsageError
from cachedoctor.formats import torch_zip
from tests.support import builders, worlds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cachedoctor.host import Host

MINE = "somebody/whisper-mine"
SHAPES = {
    "model.encoder.conv1.weight": (8, 80, 3),
    "model.encoder.embed_positions.weight": (10, 8),
    "model.encoder.layers.0.fc1.weight": (4, 8),
    "model.decoder.embed_positions.weight": (12, 8),
    "model.decoder.embed_tokens.weight": (11, 8),
    "model.decoder.layers.0.fc1.weight": (4, 8),
}
AGREES = {"model_type": "whisper", "d_model": 8, "num_mel_bins": 80, "vocab_size": 11}
REST = {
    "preprocessor_config.json": b'{"feature_size": 80}',
    "generation_config.json": b'{"no_timestamps_token_id": 50362}',
    "tokenizer.json": b'{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}',
}


def pickled(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Return the pickle of a state dict, as torch writes it: names, storages and shapes."""
    said = b"\x80\x02}("
    for number, (name, shape) in enumerate(shapes.items()):
        axes = b"".join(b"K" + bytes([axis]) for axis in shape)
        end = {1: b"\x85", 2: b"\x86", 3: b"\x87"}[len(shape)]
        said += _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + _text("storage")
        said += b"ctorch\nFloatStorage\n" + _text(str(number)) + _text("cpu") + b"K\x60tQ"
        said += b"K\x00" + axes + end + axes + end + b"\x89ccollections\nOrderedDict\n)RtR"
    return said + b"u."


def _text(text: str) -> bytes:
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


def torch_file(shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> bytes:
    """Return `pytorch_model.bin` with these tensors, of which only the names are true."""
    records = {
        "archive/data.pkl": pickled(shapes),
        **{f"archive/data/{number}": bytes(96) for number in range(len(shapes))},
        "archive/version": b"3\n",
    }
    return builders.joined(builders.zip_pieces(records))


def safetensors(shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> bytes:
    """Return the same as safetensors."""
    tensors = {name: ("F32", shape) for name, shape in shapes.items()}
    return builders.safetensors_file(tensors, metadata={"format": "pt"})


def parts(end: str) -> dict[str, bytes]:
    """Return the weights in two parts and what says which tensor is in which."""
    stem = "model" if end == "safetensors" else "pytorch_model"
    write = safetensors if end == "safetensors" else torch_file
    names = sorted(SHAPES)
    found: dict[str, bytes] = {}
    place: dict[str, str] = {}
    for number, mine in enumerate((names[:1], names[1:]), 1):
        file = f"{stem}-{number:05}-of-00002.{end}"
        found[file] = write({name: SHAPES[name] for name in mine})
        place |= dict.fromkeys(mine, file)
    found[f"{stem}.{end}.index.json"] = json.dumps({"metadata": {}, "weight_map": place}).encode()
    return found


WEIGHTS = {
    "safetensors": {"model.safetensors": safetensors()},
    "bin": {"pytorch_model.bin": torch_file()},
    "safetensors in parts": parts("safetensors"),
    "bin in parts": parts("bin"),
}


def asked(home: Path, host: Host, weights: Mapping[str, bytes], **says: object) -> tuple[bool, str]:
    """Return what `preflight` says of a model with these weights and a configuration."""
    files = {**REST, **weights, "config.json": json.dumps({**AGREES, **says}).encode()}
    worlds.repository(worlds.hub_of(home), MINE, files, trees=False)
    verdict = preflight("insanely-fast-whisper", model=MINE, host=host)
    return verdict.ready, verdict.why or ""


def test_the_shapes_of_torchs_tensors_are_read_and_nothing_is_unpickled() -> None:
    """Also where a pickle ends early, and of one that does something else."""
    content = torch_file()
    assert torch_zip.shapes(BytesIO(content), len(content)) == SHAPES
    said = pickled(SHAPES)
    at = said.index(b"model.decoder")
    for cut in (said[:at], said[:-40], b"cos\nsystem\n(X\x04\x00\x00\x00true\x85R.", b"\xff" * 9):
        records = {"archive/data.pkl": cut, "archive/version": b"3\n"}
        other = builders.joined(builders.zip_pieces(records))
        assert torch_zip.shapes(BytesIO(other), len(other)).items() <= SHAPES.items()


@pytest.mark.parametrize("how", WEIGHTS)
def test_a_configuration_agrees_with_the_weights(how: str, home: Path, host: Host) -> None:
    """Whole files or parts, as safetensors or as torch writes them."""
    assert asked(home, host, WEIGHTS[how]) == (True, "")


@pytest.mark.parametrize("how", WEIGHTS)
@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("d_model", 16),
        ("num_mel_bins", 128),
        ("vocab_size", 12),
        ("max_source_positions", 12),
        ("decoder_layers", 2),
        ("d_model", "8"),
    ],
)
def test_a_configuration_of_another_model_is_told(
    how: str, key: str, told: object, home: Path, host: Host
) -> None:
    """By the number that the weights have."""
    ready, why = asked(home, host, WEIGHTS[how], **{key: told})
    assert not ready
    assert f"`{key}`" in why


@pytest.mark.parametrize("how", ["safetensors", "bin"])
def test_weights_that_are_named_as_others_name_them_are_told(
    how: str, home: Path, host: Host
) -> None:
    """Transformers fills every tensor that it does not find at random, and says nothing."""
    shapes = {
        name.replace("model.", "").replace("layers", "blocks"): s for name, s in SHAPES.items()
    }
    weights = (
        {"model.safetensors": safetensors(shapes)}
        if how == "safetensors"
        else {"pytorch_model.bin": torch_file(shapes)}
    )
    ready, why = asked(home, host, weights)
    assert (ready, "under the names that OpenAI uses" in why) == (False, True)


@pytest.mark.parametrize(
    ("width", "heads", "ready"), [(8, 4, True), (384, 6, True), (384, 8, False)]
)
def test_made_up_weights_have_any_number_of_heads(
    width: int, heads: int, ready: bool, home: Path, host: Host
) -> None:
    """OpenAI's have one for 64 numbers, of which the smallest has 384."""
    shapes = {**SHAPES, "model.encoder.conv1.weight": (width, 80, 3)}
    weights = {"model.safetensors": safetensors(shapes)}
    said = asked(home, host, weights, d_model=width, encoder_attention_heads=heads)
    assert said[0] is ready


def test_transformers_looks_where_its_version_looks(home: Path, host: Host) -> None:
    """Version 4 in `TRANSFORMERS_CACHE`, version 5 no more."""
    elsewhere = host._replace(environment={"TRANSFORMERS_CACHE": str(home / "far")})
    files = {**REST, **WEIGHTS["safetensors"], "config.json": json.dumps(AGREES).encode()}
    worlds.repository(home / "far", MINE, files, trees=False)
    for version, by in (("", "path"), ("4.46.3", "name"), ("5.24.0", "path")):
        versions = {"transformers": version} if version else {}
        asked = elsewhere._replace(engine_versions=versions)
        verdict = preflight("insanely-fast-whisper", model=MINE, host=asked)
        assert (verdict.ready, verdict.by) == (True, by), version


def test_lightning_is_asked_by_its_own_names_only(host: Host) -> None:
    """It takes no repository: `mlx-community/whisper-tiny` is no model's name."""
    with pytest.raises(UsageError, match="it calls it `tiny`"):
        preflight("lightning-whisper-mlx", model="mlx-community/whisper-tiny", host=host)
