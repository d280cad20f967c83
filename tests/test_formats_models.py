"""GGML, NumPy archives and indexes of shards: whole, cut, hostile, and the true file."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor import formats
from cachedoctor.errors import Fault, FormatError
from tests.support import builders, builders_models, weights
from tests.test_formats import IMPOSTORS, Counting, changed, fault_of, read

if TYPE_CHECKING:
    from pathlib import Path

WHISPER = builders_models.ggml_whisper()
STUB = builders_models.ggml_stub()
GGUF = b"GGUF" + struct.pack("<IQQ", 3, 2, 4) + bytes(99)  # read by no engine here
NPZ = builders_models.npz_file()
INDEX = builders_models.shard_index(["model-00001-of-00002.safetensors", "b.safetensors"])
WHOLE = {
    "whisper": ("ggml", WHISPER),
    "whisper-quantised": ("ggml", builders_models.ggml_whisper(quantised=True)),
    "whisper-layers": ("ggml", builders_models.ggml_whisper(audio_layers=2, text_layers=3)),
    "silero": ("ggml", builders_models.ggml_silero()),
    "parakeet": ("ggml", builders_models.ggml_parakeet()),
    "npz": ("npz", NPZ),
    "npz-quantised": ("npz", builders_models.npz_file(quantized=True)),
    "npz-packed": ("npz", builders_models.npz_file(packed=True)),
    "index": ("shard_index", INDEX),
}
NAMES = ("ggml", "npz", "shard_index")
WALKED = ("whisper", "whisper-quantised", "npz", "npz-packed", "index")


@pytest.mark.parametrize(("name", "data"), WHOLE.values(), ids=WHOLE)
def test_whole_file_is_silent(name: str, data: bytes) -> None:
    """A whole file is as long as its header says, and no impostor."""
    assert read(name, data).length_bytes == len(data)
    assert not formats.foreign(data[:512])


def test_details_tell_what_a_file_is() -> None:
    """Architecture, layers and quantisation come from the header."""
    details = read("ggml", builders_models.ggml_whisper(audio_layers=2, text_layers=3)).details
    assert (details["architecture"], details["audio_layers"], details["text_layers"]) == (
        "whisper", 2, 3,
    )  # fmt: skip
    assert details["tensors"] == 11 + 15 * 2 + 24 * 3
    assert read("ggml", builders_models.ggml_silero()).details["architecture"] == "silero-vad"
    assert read("ggml", builders_models.ggml_parakeet()).details["architecture"] == "parakeet"
    assert read("npz", NPZ).details == {"members": 2, "quantized": 0}
    assert read("npz", builders_models.npz_file(quantized=True)).details["quantized"] == 1
    assert read("shard_index", INDEX).details == {"shards": 2}


@pytest.mark.parametrize("key", WALKED)
def test_every_truncation_is_found(key: str) -> None:
    """Each shorter beginning is truncated; cut after its vocabulary a model is a stub."""
    name, data = WHOLE[key]
    for size_bytes in range(len(data)):
        fault = fault_of(name, data[:size_bytes])
        stub = name == "ggml" and size_bytes == len(STUB)
        assert fault.fault is (Fault.STUB if stub else Fault.TRUNCATED), size_bytes
        assert fault.measured == size_bytes
        assert fault.expected in (None, len(data))


@pytest.mark.parametrize("more", [b"\0" * 40, b"and more of what was never asked for " * 9])
def test_trailing_bytes_are_found(more: bytes) -> None:
    """A file that goes on after its end says where the end was."""
    for name, data in (("ggml", WHISPER), ("npz", NPZ)):
        fault = fault_of(name, data + more)
        assert (fault.fault, fault.expected) == (Fault.TRAILING, len(data)), name
    assert fault_of("ggml", WHISPER + b"x").fault is Fault.TRAILING


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("data", "what"),
    [
        *((data, what) for what, data in IMPOSTORS.items()),
        (b"just some words, as they come", "plain text"),
        (bytes(100), "zeros"),
        (b"\xca\xfe\xba\xbe\0\0\0\x01\xff", "`cafebabe00000001`"),
    ],
)
def test_impostor_is_named(name: str, data: bytes, what: str) -> None:
    """A file that is something else is called by what it is."""
    fault = fault_of(name, data)
    assert fault.fault is Fault.WRONG_MAGIC
    assert what in fault.message


@pytest.mark.parametrize("key", WHOLE)
def test_no_format_is_mistaken_for_another(key: str) -> None:
    """A GGUF file named as GGML is one; so for all."""
    name, data = WHOLE[key]
    for other in {*NAMES, "ctranslate2", "safetensors"} - {name}:
        assert fault_of(other, data).fault is Fault.WRONG_MAGIC, other
    assert "a GGUF file" in fault_of("ggml", GGUF).message
    assert fault_of("npz", builders.torch_zip_file()).fault is Fault.WRONG_MAGIC
    assert fault_of("torch_zip", NPZ).fault is Fault.WRONG_MAGIC


def test_a_model_without_tensors_is_a_stub() -> None:
    """What is made for testing a loader is not taken for a model."""
    for tokens in (1, 5, 200):
        fault = fault_of("ggml", builders_models.ggml_stub(tokens))
        assert fault.fault is Fault.STUB
    assert fault_of("npz", b"PK\x05\x06" + bytes(18)).fault is Fault.STUB


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        ("ggml", changed(WHISPER, 4 + 16, struct.pack("<i", 1 << 30)), Fault.MALFORMED),  # layers
        ("ggml", changed(WHISPER, 4 + 16, struct.pack("<i", -1)), Fault.MALFORMED),
        ("ggml", changed(WHISPER, 4 + 4, struct.pack("<i", 7)), Fault.MALFORMED),  # no known kind
        ("ggml", changed(WHISPER, 48, struct.pack("<ii", 80, 1 << 30)), Fault.MALFORMED),  # mel
        ("ggml", changed(WHISPER, 48, struct.pack("<ii", 128, 3)), Fault.MALFORMED),
        ("ggml", changed(WHISPER, 56 + 960, struct.pack("<i", -5)), Fault.MALFORMED),  # tokens
        ("ggml", changed(WHISPER, 56 + 960, struct.pack("<i", 1 << 30)), Fault.MALFORMED),
        ("ggml", changed(WHISPER, 60 + 960, struct.pack("<I", 1 << 31)), Fault.MALFORMED),
        ("ggml", changed(WHISPER, len(STUB), struct.pack("<i", 99)), Fault.MALFORMED),  # rank
        ("ggml", changed(WHISPER, len(STUB) + 4, struct.pack("<i", 1 << 30)), Fault.MALFORMED),
        ("ggml", changed(WHISPER, len(STUB) + 8, struct.pack("<i", 77)), Fault.MALFORMED),  # type
        ("ggml", changed(WHISPER, len(STUB) + 12, struct.pack("<i", 0)), Fault.MALFORMED),
        ("npz", builders_models.zip_of({"a.txt": b"words"}), Fault.WRONG_MAGIC),
        ("npz", builders_models.zip_of({"a.npy": b"no array at all"}), Fault.MALFORMED),
        (
            "npz",
            builders_models.zip_of({"a.npy": builders_models.npy("<f4", (2, 3)) + b"x"}),
            Fault.MALFORMED,
        ),
        (
            "npz",
            builders_models.zip_of({"a.npy": builders_models.npy("<f4", (1 << 40, 0))}),
            None,
        ),
        ("shard_index", b'{"weight_map": {}}', Fault.MALFORMED),
        ("shard_index", b'{"metadata": 1}', Fault.MALFORMED),
        ("shard_index", b'{"weight_map": {"a": "b.safetensors"}}', Fault.MALFORMED),
        ("shard_index", b'{"weight_map": {"a": 5}}', Fault.MALFORMED),
        ("shard_index", b'{"weight_map": {"a": "../up.safetensors"}}', Fault.MALFORMED),
        ("shard_index", b'{"weight_map": {"a": "/etc/passwd"}}', Fault.MALFORMED),
        ("shard_index", b'{"weight_map": {"a": "b\\u0000c"}}', Fault.MALFORMED),
        ("shard_index", b'{"weight_map": ' + b"[" * 5000 + b"]" * 5000 + b"}", Fault.MALFORMED),
        ("shard_index", b'{"weight_map": 1' + b"\xff}", Fault.MALFORMED),
    ],
)
def test_hostile_numbers_are_refused(name: str, data: bytes, fault: Fault | None) -> None:
    """Counts and lengths that no model has are refused at once, without reading after them."""
    began = time.perf_counter()
    if fault is None:
        read(name, data)
    else:
        assert fault_of(name, data).fault is fault
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=200)
def test_any_damage_gives_a_reading_or_a_format_error(name: str, data: st.DataObject) -> None:
    """Whole files with bits flipped, cut and spliced are answered, whatever they become."""
    raw = data.draw(st.sampled_from([whole for kind, whole in WHOLE.values() if kind == name]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        new = data.draw(st.binary(max_size=12))
        drop = data.draw(st.integers(0, 12))
        raw = raw[:at] + new + raw[at + drop :]
    try:
        read(name, raw)
    except FormatError as error:
        assert str(error)  # noqa: PT017 - any other error fails the test by itself


@pytest.mark.parametrize("name", NAMES)
@given(raw=st.binary(max_size=300))
@settings(max_examples=100)
def test_random_bytes_never_pass(name: str, raw: bytes) -> None:
    """Noise is no model."""
    with pytest.raises(FormatError):
        read(name, raw)


def test_a_text_of_no_end_is_not_read() -> None:
    """An index is short; what goes on for megabytes is none."""
    index = builders_models.shard_index(["a.safetensors"]) + b" " * (65 << 20)
    with pytest.raises(FormatError, match="longer"):
        formats.find("shard_index").read(io.BytesIO(index), len(index))


@pytest.mark.real
def test_the_true_file(tmp_path: Path) -> None:
    """The official tiny.en passes, a byte less and twenty more do not, and little of it is read."""
    entry = weights.require(weights.ggml_tiny_en)
    path = entry if entry.is_file() else next(entry.rglob("*.bin"))
    size = path.stat().st_size
    with Counting(path) as file:
        reading = formats.find("ggml").read(file, size)
        assert file.total < 2 << 20
    assert (reading.details["tensors"], reading.details["vocabulary"]) == (167, 51864)
    content = path.read_bytes()
    assert fault_of("ggml", content[:-1]).fault is Fault.TRUNCATED
    assert fault_of("ggml", content + bytes(20)).fault is Fault.TRAILING
    copy = tmp_path / "model.safetensors.index.json"
    copy.write_text(json.dumps({"metadata": {}, "weight_map": {"a": path.name}}))
    assert os.path.getsize(copy) == read("shard_index", copy.read_bytes()).length_bytes


def _front(index: int, value: int) -> bytes:
    """Return the true file's bytes with another of the eleven numbers at its front."""
    content = weights.require(weights.ggml_tiny_en).read_bytes()
    at = 4 + 4 * index
    return content[:at] + struct.pack("<i", value) + content[at + 4 :]


@pytest.mark.real
@pytest.mark.parametrize(
    ("index", "value", "words"),
    [
        (0, 51865, "384 x 51865"),
        (2, 512, "heads"),
        (3, 8, "claims 8 and 6 heads"),
        (5, 224, "384 x 224"),
        (9, 128, "128 x 201 mel filters|80 x 201 mel filters"),
        (10, 0, "type 0"),
        (10, 2, "type 2"),
        (10, 99, "type 99"),
    ],
)
def test_a_header_that_its_tensors_belie_is_refused(index: int, value: int, words: str) -> None:
    """whisper.cpp makes room by the header, and crashes at a tensor of another shape."""
    found = fault_of("ggml", _front(index, value))
    assert found.fault is Fault.MALFORMED
    assert re.search(words, found.message)


@pytest.mark.real
def test_the_second_version_of_a_quantisation_counts_as_the_first() -> None:
    """The type of a file is written with a thousand for each version."""
    data = weights.require(weights.ggml_tiny_en_q8_0).read_bytes()
    (kind,) = struct.unpack_from("<i", data, 44)
    assert kind % 1000 == 7
    assert read("ggml", data[:44] + struct.pack("<i", 7) + data[48:]).length_bytes == len(data)


def test_a_directory_behind_the_end_record_is_none() -> None:
    """Readers take the last end record, which leads nowhere."""
    data = builders_models.npz_file()
    end = data[data.rindex(b"PK\5\6") :]
    assert fault_of("npz", data + end).fault is Fault.MALFORMED
    assert fault_of("npz", data + b"x" * 22).fault is Fault.TRAILING
