"""Readers tell whole files from broken ones by headers and offsets alone, whatever they are fed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import time
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor import formats
from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import _zip, json_strict, json_text
from cachedoctor.system import shipped
from tests.support import builders, coreml_bundles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cachedoctor.vocabulary import Reading

HUGE_BYTES = 100 << 30
IMPOSTORS = {
    "an HTML page": builders.HTML_PAGE,
    "a git-lfs pointer": builders.LFS_POINTER,
    "an XML error body": builders.XML_ERROR,
    "a plain-text error body": builders.TEXT_ERROR,
}


def zipped() -> bytes:
    """Return a checkpoint as Python's own zip writer makes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("tiny/data.pkl", "tiny/version", "tiny/data/0"):
            info = zipfile.ZipInfo(name)
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(b"content")
    return buffer.getvalue()


WHOLE = {
    "ctranslate2": ("ctranslate2", builders.ctranslate2_model()),
    "ctranslate2-v1": (
        "ctranslate2",
        builders.ctranslate2_model(version=1, tensors=[("a", (2, 3), 4), ("b", (), 1)]),
    ),
    "ctranslate2-v2": (
        "ctranslate2",
        builders.ctranslate2_model(version=2, tensors=[("a", (5,), 2)]),
    ),
    "ctranslate2-v3": (
        "ctranslate2",
        builders.ctranslate2_model(version=3, tensors=[("a", (5,), 2)], aliases=[("b", "a")]),
    ),
    "ctranslate2-types": (
        "ctranslate2",
        builders.ctranslate2_model(
            version=4, tensors=[(f"t{kind}", (3,), kind) for kind in range(6)]
        ),
    ),
    "torch_zip": ("torch_zip", builders.torch_zip_file()),
    "torch_zip-32": ("torch_zip", builders.torch_zip_file(root="tiny.en", zip64=False)),
    "torch_zip-comment": ("torch_zip", builders.torch_zip_file(comment=b"a comment")),
    "torch_zip-end-in-comment": (
        "torch_zip",
        builders.torch_zip_file(zip64=False, comment=b"PK\x05\x06" + bytes(30)),
    ),
    "torch_zip-zipfile": ("torch_zip", zipped()),
    "safetensors": ("safetensors", builders.safetensors_file(metadata={"format": "pt"})),
    "safetensors-plain": ("safetensors", builders.safetensors_file()),
    "safetensors-dtypes": (
        "safetensors",
        builders.safetensors_file(
            {dtype: (dtype, (3, 1)) for dtype in ("F64", "I64", "F32", "BF16", "I8", "U8")}
        ),
    ),
    "safetensors-null-metadata": (
        "safetensors",
        builders.safetensors_header(
            {"__metadata__": None, "a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}
        )
        + b"mlx\0",
    ),
    "safetensors-scalar": ("safetensors", builders.safetensors_file({"a": ("F16", ())})),
    "safetensors-empty-first": (
        "safetensors",
        builders.safetensors_file({"b": ("F16", (0, 5)), "a": ("F32", (2,))}),
    ),
}
JSON = {
    "object": b'{"model_type": "whisper", "error": {}, "a": [1, {"b": 2}]}',
    "error-first": b'{"error": "a valid configuration all the same"}\n',
    "array": b'["<unk>", "a"]\n',
    "empty": b"{}",
    "unicode": '{"▁": 1, "Ġ": [NaN, 2.5e3]}'.encode(),
    "long": json.dumps({f"token {number}": number for number in range(300)}, indent=1).encode(),
}


class Counting(io.FileIO):
    """A file that counts what is read of it."""

    total = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read and count."""
        data = super().read(-1 if size is None else size) or b""
        self.total += len(data)
        return data


class Trickle(io.BytesIO):
    """A file that gives 7 bytes at a time, as an unbuffered one may."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read little."""
        return super().read(7 if size is None or size < 0 else min(size, 7))


def read(name: str, data: bytes) -> Reading:
    """Return what a format says of `data`."""
    return formats.find(name).read(io.BytesIO(data), len(data))


def fault_of(name: str, data: bytes) -> FormatError:
    """Return what a format finds wrong in `data`."""
    with pytest.raises(FormatError) as caught:
        read(name, data)
    return caught.value


def changed(data: bytes, at: int, new: bytes) -> bytes:
    """Put `new` in place of what is at `at`."""
    return data[:at] + new + data[at + len(new) :]


def test_every_module_is_found() -> None:
    """The folder is the registry: each name leads to a format or a bundle."""
    for name in shipped.modules("cachedoctor.formats"):
        found = formats.find_bundle(name) if name == "coreml" else formats.find(name)
        assert hasattr(found, "inspect" if name == "coreml" else "read")


@pytest.mark.parametrize(("name", "data"), WHOLE.values(), ids=WHOLE)
def test_whole_file_is_silent(name: str, data: bytes) -> None:
    """A whole file is as long as its header says."""
    assert read(name, data).length_bytes == len(data)


@pytest.mark.parametrize(("name", "data"), WHOLE.values(), ids=WHOLE)
def test_every_truncation_is_found(name: str, data: bytes) -> None:
    """Each shorter beginning of a whole file is truncated, and says how long it is."""
    for size_bytes in range(len(data)):
        fault = fault_of(name, data[:size_bytes])
        assert (fault.fault, fault.measured) == (Fault.TRUNCATED, size_bytes), size_bytes
        assert fault.expected in (None, len(data))


@pytest.mark.parametrize(("name", "data"), WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("more", [b"\0", b"and more", bytes(1000)], ids=["nul", "text", "zeros"])
def test_trailing_bytes_are_found(name: str, data: bytes, more: bytes) -> None:
    """A file that goes on after its end says where the end was."""
    fault = fault_of(name, data + more)
    assert (fault.fault, fault.expected) == (Fault.TRAILING, len(data))


@pytest.mark.parametrize("name", ["ctranslate2", "torch_zip", "safetensors"])
@pytest.mark.parametrize(
    ("data", "what"),
    [
        *((data, what) for what, data in IMPOSTORS.items()),
        (builders.JSON_ERROR, "a JSON error body"),
        (b"GGUF\x03\0\0\0" + bytes(60), "a GGUF file"),
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


@pytest.mark.parametrize(("name", "data"), WHOLE.values(), ids=WHOLE)
def test_format_is_not_mistaken_for_another(name: str, data: bytes) -> None:
    """No model is an impostor, and none passes for one of another format."""
    assert not formats.foreign(data[:512])
    for other in {"ctranslate2", "torch_zip", "safetensors", "json_text"} - {name}:
        assert fault_of(other, data).fault is Fault.WRONG_MAGIC


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"", ""),
        (b"  \n<HTML lang=en>", "an HTML page"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "an HTML page"),
        (b'<?xml version="1.0"?><html xmlns="">', "an HTML page"),
        (b"<Error><Code>AccessDenied</Code></Error>", "an XML error body"),
        (b"< 5 and other comparisons", ""),
        (b'{\n  "detail" : "gone"}', "a JSON error body"),
        (b'{"model_type": "whisper"}', ""),
        (b"404: Not Found", "a plain-text error body"),
        (b"Entry not found", "a plain-text error body"),
        (b"4040 8 numbers and more", ""),
        (b"hello", ""),
    ],
)
def test_sniff(head: bytes, what: str) -> None:
    """Only what servers and git leave behind is foreign."""
    assert formats.foreign(head) == what


# --- no input raises anything else


@given(
    name=st.sampled_from(["ctranslate2", "torch_zip", "safetensors", "json_text"]), data=st.data()
)
@settings(max_examples=300)
def test_any_bytes_give_a_reading_or_a_format_error(name: str, data: st.DataObject) -> None:
    """Bytes of any kind, after a beginning that lets a reader go on, are answered."""
    starts = [b"", b"PK\x03\x04", b"PK\x05\x06", b'\x30\0\0\0\0\0\0\0{"', b"\6\0\0\0\2\0a\0", b"{"]
    raw = data.draw(st.sampled_from(starts)) + data.draw(st.binary(max_size=200))
    answered(name, raw)


@given(key=st.sampled_from(sorted(WHOLE)), data=st.data())
@settings(max_examples=500)
def test_any_damage_gives_a_reading_or_a_format_error(key: str, data: st.DataObject) -> None:
    """Whole files with bits flipped, pieces cut out or put in are answered."""
    name, raw = WHOLE[key]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "fill"])):
            case "flip":
                mask = data.draw(st.integers(1, 255))
                raw = changed(raw, at, bytes(byte ^ mask for byte in raw[at : at + 1]))
            case "cut":
                raw = raw[:at] + raw[at + data.draw(st.integers(1, 16)) :]
            case "insert":
                raw = raw[:at] + data.draw(st.binary(min_size=1, max_size=16)) + raw[at:]
            case _:
                raw = changed(raw, at, b"\xff" * min(8, len(raw) - at))
    answered(name, raw)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=6,
    )
)
@settings(max_examples=200)
def test_any_safetensors_header_is_answered(header: object) -> None:
    """A header of any JSON is answered, also in place of one tensor."""
    answered("safetensors", builders.safetensors_header(header))
    answered("safetensors", builders.safetensors_header({"a": header, "__metadata__": {}}))
    tensor = {"dtype": "F16", "shape": header, "data_offsets": header}
    answered("safetensors", builders.safetensors_header({"a": tensor}))


def answered(name: str, raw: bytes) -> None:
    """Prove that a format answers `raw`, and says its length if it calls it whole."""
    with contextlib.suppress(FormatError):
        assert read(name, raw).length_bytes == len(raw)


@pytest.mark.parametrize(("name", "data"), [*WHOLE.values(), ("json_text", JSON["long"])])
def test_file_that_gives_little_at_a_time(name: str, data: bytes) -> None:
    """Short reads are no truncation."""
    assert formats.find(name).read(Trickle(data), len(data)).length_bytes == len(data)


# --- headers that contradict themselves or ask for too much

ONE = struct.pack("<I", 1)


def ct2(rest: bytes, *, count: int = 1) -> bytes:
    """Return a CTranslate2 header of `count` variables, and `rest`."""
    text = struct.pack("<H", 12) + b"WhisperSpec\0"
    return struct.pack("<I", 6) + text + struct.pack("<II", 3, count) + rest


def tensor(dtype: object = "F16", shape: object = (2,), offsets: object = (0, 4)) -> bytes:
    """Return a safetensors file of one tensor that may be described wrongly."""
    value = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
    return builders.safetensors_header({"a": value}) + bytes(4)


def two(first: tuple[int, int], second: tuple[int, int]) -> bytes:
    """Return a safetensors file of two tensors between these offsets."""
    return builders.safetensors_header(
        {
            name: {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]}
            for name, (begin, end) in (("a", first), ("b", second))
        }
    ) + bytes(8)


def raw_header(text: bytes) -> bytes:
    """Return a safetensors file of nothing but a header."""
    return struct.pack("<Q", len(text)) + text


def torch(**options: object) -> bytes:
    """Return a checkpoint of two records."""
    members: dict[str, bytes | int] = {"a/data.pkl": b"pickle", "a/data/0": b"0123456789"}
    return builders.joined(builders.zip_pieces(members, **options))  # type: ignore[arg-type]


TORCH = torch(zip64=False)
TORCH_DIRECTORY = TORCH.index(b"PK\x01\x02")
TORCH64 = torch()
MALFORMED: dict[str, tuple[str, bytes, str]] = {
    "ct2-version": ("ctranslate2", changed(ct2(b""), 0, b"\7"), "version 7"),
    "ct2-count": ("ctranslate2", ct2(b"", count=2**32 - 1), "4294967295 variables"),
    "ct2-aliases": ("ctranslate2", ct2(b"\xff" * 4, count=0), "4294967295 aliases"),
    "ct2-no-name": ("ctranslate2", ct2(bytes(40)), "length of 0 bytes"),
    "ct2-long-name": ("ctranslate2", ct2(b"\xff\xff" + bytes(40)), "length of 65535 bytes"),
    "ct2-no-nul": ("ctranslate2", ct2(b"\2\0ab" + bytes(40)), "one NUL"),
    "ct2-two-nul": ("ctranslate2", ct2(b"\3\0a\0\0" + bytes(40)), "one NUL"),
    "ct2-name": ("ctranslate2", ct2(b"\2\0\xff\0" + bytes(40)), "UTF-8"),
    "ct2-rank": ("ctranslate2", ct2(b"\2\0a\0\xff" + bytes(2000)), "255 dimensions"),
    "ct2-type": ("ctranslate2", ct2(b"\2\0a\0\1" + ONE + b"\6" + ONE + b"x"), "type 6"),
    "ct2-bytes": ("ctranslate2", ct2(b"\2\0a\0\1" + ONE + b"\0" + ONE + b"x"), "needs 4"),
    "ct2-twice": ("ctranslate2", ct2((b"\2\0a\0\0\1" + ONE + b"x") * 2, count=2), "twice"),
    "ct2-old-item": (
        "ctranslate2",
        builders.ctranslate2_model(version=1, tensors=[("a", (3,), 3)]),
        "type 3",
    ),
    "st-long": ("safetensors", struct.pack("<Q", 100_000_000) + b"{" + bytes(9), "100000000"),
    "st-huge": ("safetensors", b"\xff" * 8 + b"{" + bytes(9), "18446744073709551615"),
    "st-deep": ("safetensors", raw_header(b'{"a":' + b"[" * 10_000), "nested too deeply"),
    "st-no-json": ("safetensors", raw_header(b'{"a": 1, }'), "byte 17"),
    "st-no-utf8": ("safetensors", raw_header(b'{"\xff": 1}'), "UTF-8 at byte 10"),
    "st-digits": ("safetensors", raw_header(b'{"a": ' + b"1" * 5000 + b"}"), "not JSON"),
    "st-nan": ("safetensors", raw_header(b'{"a": NaN}'), "NaN"),
    "st-twice": ("safetensors", raw_header(b'{"a": 1, "a": 2}'), "twice"),
    "st-metadata": ("safetensors", raw_header(b'{"__metadata__": {"a": 1}}'), "__metadata__"),
    "st-metadata-list": ("safetensors", raw_header(b'{"__metadata__": []}'), "__metadata__"),
    "st-keys": ("safetensors", raw_header(b'{"a": {"dtype": "F16"}}'), "without dtype"),
    "st-number": ("safetensors", raw_header(b'{"a": 1}'), "without dtype"),
    "st-dtype": ("safetensors", tensor(dtype="G16"), "dtype `G16`"),
    "st-dtype-list": ("safetensors", tensor(dtype=["F16"]), "unknown"),
    "st-negative": ("safetensors", tensor(offsets=(-4, 0)), "no integers"),
    "st-backwards": ("safetensors", tensor(offsets=(4, 0)), "-4 bytes"),
    "st-true": ("safetensors", tensor(shape=(True, 2)), "no integers"),
    "st-float": ("safetensors", tensor(shape=(2.0,)), "no integers"),
    "st-three": ("safetensors", tensor(offsets=(0, 2, 4)), "no integers"),
    "st-overflow": ("safetensors", tensor(shape=(2**40, 2**40)), "no file can hold"),
    "st-many": ("safetensors", tensor(shape=[2**63] * 10_000), "no file can hold"),
    "st-size": ("safetensors", tensor(shape=(3,)), "4 bytes but its shape needs 6"),
    "st-half-byte": ("safetensors", tensor(dtype="F4", shape=(9,)), "needs 4.5"),
    "st-overlap": ("safetensors", two((0, 4), (2, 8)), "overlaps byte 4"),
    "st-same": ("safetensors", two((0, 4), (0, 4)), "overlaps byte 4"),
    "st-hole": ("safetensors", two((0, 4), (6, 8)), "hole"),
    "st-late": ("safetensors", two((1, 4), (4, 8)), "hole"),
    "zip-packed": ("torch_zip", torch(method=8), "compressed"),
    "zip-encrypted": ("torch_zip", torch(flags=1), "compressed"),
    "zip-too-many": ("torch_zip", TORCH[:50] + bytes(5) + TORCH[50:], "5 bytes too many"),
    "zip-too-few": ("torch_zip", TORCH[:50] + TORCH[60:], "10 bytes too few"),
    "zip-local-name": ("torch_zip", changed(TORCH, 30, b"b"), "no `a/data.pkl` at byte 0"),
    "zip-local-method": ("torch_zip", changed(TORCH, 8, b"\x08"), "at byte 0"),
    "zip-entry": ("torch_zip", changed(TORCH, TORCH_DIRECTORY, b"X"), "do not fit"),
    "zip-entry-name": ("torch_zip", changed(TORCH, TORCH_DIRECTORY + 28, b"\xff"), "do not fit"),
    "zip-count": ("torch_zip", changed(TORCH, len(TORCH) - 12, b"\3"), "lists 2 files"),
    "zip-offset": ("torch_zip", changed(TORCH, TORCH_DIRECTORY + 42, b"\xff" * 4), "no room"),
    "zip-size": ("torch_zip", changed(TORCH, TORCH_DIRECTORY + 21, b"\1" * 3), "reaching into"),
    "zip-overlap": (
        "torch_zip",
        changed(TORCH, TORCH_DIRECTORY + 20, struct.pack("<II", 40, 40)),
        "overlapping another",
    ),
}


@pytest.mark.parametrize(("name", "data", "words"), MALFORMED.values(), ids=MALFORMED)
def test_contradiction_is_found(name: str, data: bytes, words: str) -> None:
    """A header that cannot be true is called malformed, with the number that is wrong."""
    fault = fault_of(name, data)
    assert fault.fault is Fault.MALFORMED, fault.message
    assert words in fault.message


# --- torch_zip


def test_zip64_record_that_does_not_fit_is_ignored() -> None:
    """The end record counts where the zip64 record is damaged, as long as it fits itself."""
    at = TORCH64.index(b"PK\x06\x06")
    for offset, new in ((at, b"X"), (at + 4, b"\xff"), (at + 56 + 8, b"\xff" * 8)):
        fault = fault_of("torch_zip", changed(TORCH64, offset, new))
        assert fault.fault is Fault.MALFORMED
        assert "76 bytes too many" in fault.message


def test_wide_values_without_their_field() -> None:
    """A size that belongs in a zip64 field which does not exist is out of reach."""
    head = struct.pack("<HH", 9, 2) + b"xx" + struct.pack("<HHQ", 1, 8, 6)
    assert _zip._wide((0xFFFFFFFF, 6, 0), head) == (6, 6, 0)
    assert _zip._wide((0xFFFFFFFF, 0xFFFFFFFF, 0), head) == (6, 0xFFFFFFFF, 0)
    assert _zip._wide((0xFFFFFFFF, 6, 0), head[:6]) == (0xFFFFFFFF, 6, 0)


def test_too_many_members() -> None:
    """A directory of more files than any model has is not read."""
    at = TORCH64.index(b"PK\x06\x06")
    data = changed(TORCH64, at + 24, struct.pack("<QQ", 2**40, 2**40))
    assert "1099511627776" in fault_of("torch_zip", data).message


def test_directory_that_ends_inside_an_entry() -> None:
    """A directory longer than its entries is malformed."""
    data = TORCH[:-22] + bytes(9) + TORCH[-22:]
    size = struct.unpack_from("<I", data, len(data) - 10)[0] + 9
    data = changed(data, len(data) - 10, struct.pack("<I", size))
    fault = fault_of("torch_zip", data)
    assert (fault.fault, "inside an entry" in fault.message) == (Fault.MALFORMED, True)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("weight.npy", "bias.npy"), "a NumPy archive"),
        (("a/b.txt",), "a zip archive without `data.pkl`"),
        ((), "an empty zip archive"),
    ],
)
def test_other_zip_archive(names: tuple[str, ...], what: str) -> None:
    """A zip archive of something else is no checkpoint."""
    data = builders.joined(builders.zip_pieces(dict.fromkeys(names, b"x"), zip64=False))
    fault = fault_of("torch_zip", data)
    assert (fault.fault, what in fault.message) == (Fault.WRONG_MAGIC, True)


def test_zip_without_members() -> None:
    """An archive that lists nothing behind a file's header is no checkpoint."""
    data = b"PK\x03\x04" + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0, 0, 0, 4, 0)
    assert fault_of("torch_zip", data).fault is Fault.WRONG_MAGIC


def test_legacy_pickle_is_taken_as_it_is() -> None:
    """The format before zip has no length; only one shorter than its magic is truncated."""
    data = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e80024de903")
    assert read("torch_zip", data).details == {"kind": "legacy"}
    assert fault_of("torch_zip", data[:9]).fault is Fault.TRUNCATED


# --- json_text


@pytest.mark.parametrize("data", JSON.values(), ids=JSON)
def test_json_is_silent(data: bytes) -> None:
    """Any object or array is no impostor, and parses."""
    assert read("json_text", data).length_bytes == len(data)
    json_text.parse(io.BytesIO(data), len(data))


@pytest.mark.parametrize("data", JSON.values(), ids=JSON)
def test_parse_finds_every_truncation(data: bytes) -> None:
    """A shorter beginning never parses, whatever bracket it ends with."""
    for size_bytes in range(len(data.rstrip())):
        with pytest.raises(FormatError) as caught:
            json_text.parse(io.BytesIO(data[:size_bytes]), size_bytes)
        assert caught.value.fault is Fault.TRUNCATED


@pytest.mark.parametrize("what", IMPOSTORS)
def test_json_impostor_is_named(what: str) -> None:
    """A page or pointer under a configuration's name is called by what it is."""
    fault = fault_of("json_text", IMPOSTORS[what])
    assert (fault.fault, what in fault.message) == (Fault.WRONG_MAGIC, True)


@pytest.mark.parametrize(
    ("data", "fault", "words"),
    [
        (b"", Fault.TRUNCATED, "empty"),
        (b" \n\t", Fault.TRUNCATED, "blank"),
        (b"  {", Fault.TRUNCATED, "`}`"),
        (b'["a", "b"', Fault.TRUNCATED, "`]`"),
        (b'{"a": 1]', Fault.TRUNCATED, "`}`"),
        (b'{"a": "b\0\0\0', Fault.MALFORMED, "NUL"),
        (b'"text"', Fault.WRONG_MAGIC, "plain text"),
        (bytes(600), Fault.WRONG_MAGIC, "zeros"),
        (b" " * 600 + b"{}", Fault.WRONG_MAGIC, "plain text"),
    ],
)
def test_json_ends(data: bytes, fault: Fault, words: str) -> None:
    """The first and the last byte tell most faults without a parser."""
    found = fault_of("json_text", data)
    assert (found.fault, words in found.message) == (fault, True)


@pytest.mark.parametrize(
    ("data", "fault", "words"),
    [
        (b"\xef\xbb\xbf{}", Fault.MALFORMED, "byte order mark"),
        (b'{"a": 1,}', Fault.MALFORMED, "line 1, column 9"),
        (b'{"a": {"b": 1}', Fault.TRUNCATED, "not JSON"),
        (b'{"a": "}', Fault.TRUNCATED, "Unterminated"),
        (b'{"\xff": 1}', Fault.MALFORMED, "byte 2"),
        (b"[" * 10_000 + b"]" * 10_000, Fault.MALFORMED, "nested"),
        (b"[" + b"1" * 5000 + b"]", Fault.MALFORMED, "digits"),
    ],
)
def test_parse_finds_what_the_ends_hide(data: bytes, fault: Fault, words: str) -> None:
    """Text that only looks like JSON at both ends does not parse."""
    read("json_text", data)
    with pytest.raises(FormatError) as caught:
        json_text.parse(io.BytesIO(data), len(data))
    assert (caught.value.fault, words in caught.value.message) == (fault, True)


def test_parse_refuses_a_huge_text(tmp_path: Path) -> None:
    """More than 64 MiB is not read."""
    path = tmp_path / "huge.json"
    size_bytes = builders.write_sparse(path, [b"{", 65 << 20, b"}"])
    with Counting(path) as file, pytest.raises(FormatError, match="64 MiB"):
        json_text.parse(file, size_bytes)
    assert file.total < 4096


def test_parse_of_a_file_that_shrank() -> None:
    """A file cut between its stat and its reading is truncated."""
    data = b"{" + b" " * 1000 + b"}"
    with pytest.raises(FormatError) as caught:
        json_text.parse(io.BytesIO(data), 1100)
    assert (caught.value.fault, caught.value.measured) == (Fault.TRUNCATED, len(data))


# --- little is read of a large file


def huge(name: str) -> builders.Pieces:
    """Return a whole file of 100 GiB, nearly all of it holes."""
    if name == "ctranslate2":
        tensors = [(f"layer_{number}/weight", (1 << 30, 1), 4) for number in range(50)]
        return builders.ctranslate2_pieces(tensors=tensors, hollow=True)
    if name == "torch_zip":
        members: dict[str, bytes | int] = {"a/data.pkl": b"pickle", "a/version": b"3\n"}
        members |= {f"a/data/{number}": HUGE_BYTES // 4 for number in range(4)}
        return builders.zip_pieces(members)
    if name == "safetensors":
        layers = {f"layer.{number}": ("F16", (HUGE_BYTES // 8,)) for number in range(4)}
        return list(builders.safetensors_head(layers))
    return [b"{", HUGE_BYTES, b"}"]


@pytest.mark.parametrize("name", ["ctranslate2", "torch_zip", "safetensors", "json_text"])
def test_huge_file_is_read_sparingly(name: str, tmp_path: Path) -> None:
    """100 GiB cost kilobytes and milliseconds, whole, cut or with more behind."""
    path = tmp_path / "model"
    size_bytes = builders.write_sparse(path, huge(name))
    assert size_bytes >= HUGE_BYTES
    began_s = time.perf_counter()
    with Counting(path) as file:
        assert formats.find(name).read(file, size_bytes).length_bytes == size_bytes
        for wrong_bytes in (size_bytes - (1 << 30), size_bytes - 1, size_bytes + (1 << 30)):
            os.truncate(path, wrong_bytes)
            file.seek(0)
            with pytest.raises(FormatError):
                formats.find(name).read(file, wrong_bytes)
        assert file.total < 256 << 10
    assert time.perf_counter() - began_s < 1


def test_unreadable_is_not_corrupt() -> None:
    """An error of the disk is passed on as it is."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    for name in ("ctranslate2", "torch_zip", "safetensors", "json_text"):
        with pytest.raises(OSError, match="Input/output"):
            formats.find(name).read(Broken(), 1000)


# --- coreml


def inspect(folder: Path) -> Reading:
    """Return what the format says of a bundle."""
    return formats.find_bundle("coreml").inspect(str(folder))


def bundle_fault(folder: Path) -> FormatError:
    """Return what the format finds wrong in a bundle."""
    with pytest.raises(FormatError) as caught:
        inspect(folder)
    return caught.value


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a whole bundle with three blobs."""
    return builders.mlmodelc(tmp_path / "Encoder.mlmodelc")


@pytest.fixture
def weights(bundle: Path) -> Path:
    """Return the weights of `bundle`."""
    return bundle / "weights" / "weight.bin"


@pytest.mark.parametrize("spelling", ["ios17", "ios18"])
@pytest.mark.parametrize("blobs", [(), (0,), (96, 10, 64), tuple(range(1, 200))], ids=len)
def test_whole_bundle_is_silent(spelling: str, blobs: tuple[int, ...], tmp_path: Path) -> None:
    """Both spellings of an offset are followed; a program without blobs needs no weights."""
    folder = builders.mlmodelc(tmp_path / "m", blobs=blobs, spelling=spelling)  # type: ignore[arg-type]
    reading = inspect(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert reading.length_bytes == sum(path.stat().st_size for path in files)
    assert reading.details == {"kind": "mlprogram", "files": len(files), "blobs": len(blobs)}


def test_bundle_of_the_real_writer(tmp_path: Path) -> None:
    """Weights by coremltools are whole, and truncated wherever they are cut."""
    import numpy as np

    folder = tmp_path / "m"
    arrays = [np.arange(9, dtype="<f4"), np.arange(77, dtype=np.int8), np.ones(5, np.float16)]
    coreml_bundles.make_bundle(folder, weights=[*arrays, 40], seed=1, target="ios18")
    assert inspect(folder).details["blobs"] == 4
    weights = folder / "weights" / "weight.bin"
    for size_bytes in reversed(range(weights.stat().st_size)):
        os.truncate(weights, size_bytes)
        fault = bundle_fault(folder)
        assert (fault.fault, fault.member) == (Fault.TRUNCATED, "weights/weight.bin")


def test_every_truncation_of_weights_is_found(bundle: Path, weights: Path) -> None:
    """A cut inside the last blob tells the length it should have; none goes unseen."""
    whole = weights.stat().st_size
    for size_bytes in reversed(range(whole)):
        os.truncate(weights, size_bytes)
        fault = bundle_fault(bundle)
        assert (fault.fault, fault.measured) == (Fault.TRUNCATED, size_bytes)
        assert fault.expected == (whole if size_bytes >= whole - 64 else None)


def test_truncation_in_a_blob_that_nobody_names(bundle: Path, weights: Path) -> None:
    """The records are followed one by one, also without the program's help."""
    (bundle / "model.mil").write_text(builders.program([64]))
    os.truncate(weights, weights.stat().st_size - 1)
    assert bundle_fault(bundle).fault is Fault.TRUNCATED


def test_every_truncation_of_the_program_is_found(bundle: Path) -> None:
    """A program is cut when a brace or a quotation stays open."""
    program = bundle / "model.mil"
    text = program.read_bytes()
    for size_bytes in range(len(text)):
        program.write_bytes(text[:size_bytes])
        fault = bundle_fault(bundle)
        assert (fault.fault, fault.member) == (Fault.TRUNCATED, "model.mil")


def test_program_of_many_chunks(bundle: Path) -> None:
    """Names are found across the edges of what is read at once, quotations and escapes as well."""
    _, offsets = builders.weight_bin()
    head, brace, rest = builders.program(offsets).partition("{\n    func")
    for shift in range(0, 700, 7):
        filler = "{" * ((1 << 20) - len(head) - shift)  # the edge falls into the references
        (bundle / "model.mil").write_text(f'{head}\n"{filler}"\n{brace}{rest}')
        assert inspect(bundle).details["blobs"] == 3
        program = (bundle / "model.mil").read_text()
        (bundle / "model.mil").write_text(program.replace("weights/weight.bin", "w.bin"))
        assert bundle_fault(bundle).message.endswith("no `w.bin`")
    half = "\\\\" * (1 << 19)
    for quoted in (r"{ \" (", half, half + r"\""):
        for blank in ("", " "):
            (bundle / "model.mil").write_text(f'{head}{blank}"{quoted}"{brace}{rest}')
            assert inspect(bundle).details["blobs"] == 3
    (bundle / "model.mil").write_text(f"{head}{brace}{rest}\\")
    assert bundle_fault(bundle).fault is Fault.TRUNCATED


def test_hollow_bundle(tmp_path: Path) -> None:
    """What is there and what is not is said in one line; unfinished downloads count for nothing."""
    folder = tmp_path / "m"
    (folder / "weights").mkdir(parents=True)
    assert bundle_fault(folder).message == (
        "holds 0 files, 0 B; no `coremldata.bin`, `model.mil`, `weights/weight.bin`"
    )
    (folder / "metadata.json").write_bytes(bytes(3072))
    (folder / "weights" / "weight.bin.partial").write_bytes(bytes(9))
    fault = bundle_fault(folder)
    assert fault.fault is Fault.HOLLOW
    assert fault.message == (
        "holds 1 file, 3.0 KiB, and 1 unfinished download; "
        "no `coremldata.bin`, `model.mil`, `weights/weight.bin`"
    )


@pytest.mark.parametrize("name", ["coremldata.bin", "model.mil", "weights/weight.bin"])
@pytest.mark.parametrize("how", ["missing", "dangling", "loop", "folder", "fifo"])
def test_part_that_is_not_there(bundle: Path, name: str, how: str) -> None:
    """A part is there only as a file; nothing else is ever opened."""
    part = bundle / name
    part.unlink()
    make: dict[str, Callable[[], object]] = {
        "missing": lambda: None,
        "dangling": lambda: part.symlink_to("../nowhere"),
        "loop": lambda: part.symlink_to(part.name),
        "folder": part.mkdir,
        "fifo": lambda: os.mkfifo(part),
    }
    make[how]()
    fault = bundle_fault(bundle)
    assert (fault.fault, f"no `{name}`" in fault.message) == (Fault.HOLLOW, True)
    assert ("a broken link" in fault.message) == (how in {"dangling", "loop"})


def test_bundle_that_is_no_folder(tmp_path: Path) -> None:
    """A file under a bundle's name is hollow; nothing there at all is the caller's business."""
    path = tmp_path / "m"
    with pytest.raises(FileNotFoundError):
        inspect(path)
    path.write_bytes(bytes(5 << 20))
    assert bundle_fault(path).message == "is a file of 5.0 MiB, not a folder"
    path.unlink()
    os.mkfifo(path)
    assert bundle_fault(path).message == "is neither a file nor a folder"


def test_bundle_of_links(bundle: Path, tmp_path: Path) -> None:
    """A snapshot of the hub links each file to a blob elsewhere."""
    for number, path in enumerate(p for p in bundle.rglob("*") if p.is_file()):
        path.rename(tmp_path / f"blob{number}")
        path.symlink_to(tmp_path / f"blob{number}")
    assert inspect(bundle).details["files"] == 5


@pytest.mark.parametrize("name", ["coremldata.bin", "model.mil", "weights/weight.bin"])
@pytest.mark.parametrize("what", IMPOSTORS)
def test_impostor_in_a_bundle(bundle: Path, name: str, what: str) -> None:
    """A page or pointer is named with the part that it replaced."""
    (bundle / name).write_bytes(IMPOSTORS[what])
    fault = bundle_fault(bundle)
    assert (fault.fault, fault.member) == (Fault.WRONG_MAGIC, name)
    assert what in fault.message


@pytest.mark.parametrize("name", ["coremldata.bin", "model.mil", "weights/weight.bin"])
def test_empty_part(bundle: Path, name: str) -> None:
    """An empty part is truncated."""
    (bundle / name).write_bytes(b"")
    fault = bundle_fault(bundle)
    assert (fault.fault, fault.member, fault.measured) == (Fault.TRUNCATED, name, 0)


@pytest.mark.parametrize(
    ("head", "fault", "words"),
    [
        (struct.pack("<II", 3, 1), Fault.MALFORMED, "version 1"),
        (struct.pack("<II", 2**32 - 1, 2), Fault.MALFORMED, "4294967295 blobs"),
        (b"\xff" * 8, Fault.WRONG_MAGIC, "ffffffffffffffff"),
        (bytes(64) + bytes(2), Fault.MALFORMED, "version 0"),
    ],
)
def test_weights_with_another_header(
    bundle: Path, weights: Path, head: bytes, fault: Fault, words: str
) -> None:
    """Only version 2 is read by Core ML."""
    weights.write_bytes(changed(weights.read_bytes(), 0, head))
    found = bundle_fault(bundle)
    assert (found.fault, words in found.message) == (fault, True)


def test_weights_of_zeros(bundle: Path, weights: Path) -> None:
    """A file that was reserved and never filled is no weight file."""
    weights.write_bytes(bytes(weights.stat().st_size))
    assert "zeros" in bundle_fault(bundle).message


@pytest.mark.parametrize("number", [0, 1, 2])
def test_blob_without_its_mark(bundle: Path, weights: Path, number: int) -> None:
    """The program names a place where no blob begins."""
    data, offsets = builders.weight_bin()
    weights.write_bytes(changed(data, offsets[number], bytes(4)))
    fault = bundle_fault(bundle)
    assert (fault.fault, fault.member) == (Fault.MALFORMED, "weights/weight.bin")
    assert f"at byte {offsets[number]}" in fault.message


@pytest.mark.parametrize(("more", "silent"), [(1, True), (100, True), (1000, False)])
def test_bytes_after_the_last_blob(bundle: Path, weights: Path, more: int, silent: bool) -> None:
    """Padding is not trailing; more than that is."""
    with weights.open("ab") as file:
        file.write(bytes(more))
    if silent:
        inspect(bundle)
    else:
        assert bundle_fault(bundle).fault is Fault.TRAILING


def test_records_apart_are_no_fault(bundle: Path, weights: Path) -> None:
    """Where records do not follow each other, those that the program names are proof enough."""
    data, offsets = builders.weight_bin()
    second = offsets[1]
    moved = data[:second] + bytes(4096) + data[second:]
    for at in offsets[1:]:
        moved = changed(moved, at + 4096 + 16, struct.pack("<Q", at + 4096 + 64))
    weights.write_bytes(moved)
    (bundle / "model.mil").write_text(builders.program([64, *(at + 4096 for at in offsets[1:])]))
    inspect(bundle)


def test_record_that_points_back(bundle: Path, weights: Path) -> None:
    """A record whose data lies before itself does not send the walk round in circles."""
    weights.write_bytes(changed(weights.read_bytes(), 64 + 8, struct.pack("<QQ", 0, 0)))
    inspect(bundle)


@pytest.mark.parametrize(
    "reference",
    [
        '"@model_path/../../secret"',
        '"/etc/passwd"',
        '"@model_path/a\0b"',
    ],
)
def test_reference_that_leaves_the_bundle(bundle: Path, reference: str) -> None:
    """A program that names a file elsewhere is malformed, and the file is not opened."""
    text = builders.program([64]).replace('"@model_path/weights/weight.bin"', reference)
    (bundle / "model.mil").write_text(text)
    fault = bundle_fault(bundle)
    assert (fault.fault, fault.member) == (Fault.MALFORMED, "model.mil")


def test_reference_to_another_file(bundle: Path) -> None:
    """A program may name several weight files; each has to be there."""
    text = builders.program([64])
    more = text.replace("weight.bin", "1-weight.bin")
    (bundle / "model.mil").write_text(text + more)
    assert "no `weights/1-weight.bin`" in bundle_fault(bundle).message
    (bundle / "weights" / "1-weight.bin").write_bytes(builders.weight_bin((8,))[0])
    inspect(bundle)
    (bundle / "model.mil").write_text(text + text.replace("weight.bin", "w" * 300))
    assert bundle_fault(bundle).fault is Fault.HOLLOW


def test_reference_in_an_unknown_spelling(bundle: Path, weights: Path) -> None:
    """A blob without an offset that we can read still needs the weights."""
    program = bundle / "model.mil"
    program.write_text(builders.program([64]).replace("offset", "at"))
    inspect(bundle)
    weights.unlink()
    assert bundle_fault(bundle).fault is Fault.HOLLOW


def test_too_much_of_everything(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that no model has are refused before they cost anything."""
    from cachedoctor.formats import coreml

    for name in ("_MOST_FILES", "_MOST_BLOBS", "_LONGEST_PROGRAM_BYTES", "_DEEPEST"):
        with monkeypatch.context() as patch:
            patch.setattr(coreml, name, 0 if name == "_DEEPEST" else 2)
            if name == "_DEEPEST":
                assert inspect(bundle).details["files"] == 3
            else:
                assert bundle_fault(bundle).fault is Fault.MALFORMED


def test_neural_network(tmp_path: Path) -> None:
    """The older kind has three files in place of a program."""
    folder = tmp_path / "m"
    folder.mkdir()
    for name in ("coremldata.bin", "model.espresso.net", "model.espresso.shape"):
        (folder / name).write_bytes(b'{"layers": []}')
    assert "no `model.espresso.weights`" in bundle_fault(folder).message
    (folder / "model.espresso.weights").write_bytes(b"")
    assert bundle_fault(folder).fault is Fault.TRUNCATED
    (folder / "model.espresso.weights").write_bytes(b"\x01\0\0\0")
    assert inspect(folder).details["kind"] == "neuralnetwork"


def test_unreadable_part(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may not be looked at is passed on as it is."""
    real = os.stat

    def refuse(path: str, *args: object, **options: object) -> os.stat_result:
        if str(path).endswith("weight.bin"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(PermissionError):
        inspect(bundle)


def test_huge_weights(bundle: Path, weights: Path) -> None:
    """100 GiB of weights cost milliseconds, whole or cut."""
    head = struct.pack("<II56x", 1, 2) + struct.pack("<IIQQ40x", 0xDEADBEEF, 1, HUGE_BYTES, 128)
    size_bytes = builders.write_sparse(weights, [head, HUGE_BYTES])
    (bundle / "model.mil").write_text(builders.program([64]))
    began_s = time.perf_counter()
    inspect(bundle)
    os.truncate(weights, size_bytes - 1)
    assert bundle_fault(bundle).expected == size_bytes
    assert time.perf_counter() - began_s < 1


@given(data=st.data())
@settings(max_examples=300)
def test_any_damage_to_a_bundle_is_answered(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Weights and program with bits flipped, cut or replaced are answered."""
    folder = builders.mlmodelc(tmp_path_factory.mktemp("any") / "m", blobs=(9, 70))
    part = folder / data.draw(st.sampled_from(["weights/weight.bin", "model.mil"]))
    raw = part.read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw = raw[:at] + data.draw(st.binary(max_size=9)) + raw[at + data.draw(st.integers(0, 9)) :]
    part.write_bytes(raw)
    with contextlib.suppress(FormatError):
        assert inspect(folder).details["kind"] == "mlprogram"


# --- json_strict


@pytest.mark.parametrize("data", [data for data in JSON.values() if b"NaN" not in data])
def test_plain_json_is_strict(data: bytes) -> None:
    """What every parser takes."""
    json_strict.parse(io.BytesIO(data), len(data))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"NaN", "`NaN`"),
        (b"-Infinity", "`-Infinity`"),
        (b"1e999", "beyond"),
        (b'"\\ud800"', "surrogate"),
        (b'"\\udc00 \\ud83d"', "surrogate"),
    ],
)
def test_what_only_python_takes_is_not_strict(value: bytes, words: str) -> None:
    """And it is JSON to Python all the same."""
    data = b'{"a": %s}' % value
    json_text.parse(io.BytesIO(data), len(data))
    with pytest.raises(FormatError, match=words) as caught:
        json_strict.parse(io.BytesIO(data), len(data))
    assert caught.value.fault is Fault.MALFORMED


@pytest.mark.parametrize(
    "value", [b"1e308", b"9" * 40, b'"\\ud83d\\ude00"', b'"\\\\ud800"', b"-0.5"]
)
def test_odd_values_that_are_json_are_strict(value: bytes) -> None:
    """A pair of surrogates, an escaped backslash, long numbers."""
    data = b'{"a": %s}' % value
    json_strict.parse(io.BytesIO(data), len(data))


# --- what CTranslate2's weights say


def test_another_kind_of_model_is_told() -> None:
    """By its specification, which is no fault of the file's; a revision of tomorrow's is."""
    data = builders.ctranslate2_model(specification="TransformerSpec")
    assert read("ctranslate2", data).details["specification"] == "TransformerSpec"
    assert formats.says("ctranslate2", io.BytesIO(data), len(data)) == b"TransformerSpec"
    old = builders.ctranslate2_model(version=1, tensors=[("a", (2,), 4)], aliases=())
    assert formats.says("ctranslate2", io.BytesIO(old), len(old)) == b""
    whisper = builders.ctranslate2_model()
    at = whisper.index(b"WhisperSpec\0") + 12
    newer = whisper[:at] + b"\x63\0\0\0" + whisper[at + 4 :]
    assert fault_of("ctranslate2", newer).fault is Fault.MALFORMED
