"""Both inspections of Core ML bundles, Python's and Swift's, say the same of whatever they get.

`test_coreml_cases.py` compares them on a table; here on bundles that are damaged at random.
"""

from __future__ import annotations

import os
import random
import re
from typing import TYPE_CHECKING, Any

import pytest

from cachedoctor.doctor import bridge
from tests.support import bridges, builders, coreml_cases

if TYPE_CHECKING:
    from pathlib import Path

_FOLDERS = 60
_MOST = 2**63 - 1  # Swift's largest number
_PARTS = bridges.PARTS["fluidaudio"]
_SNIPPETS = (
    b"",
    b"\0" * 64,
    b"<!doctype html><html>",
    b"version https://git-lfs.github.com/spec/v1\n",
    b'{"error": "gone"}',
    b"404: Not Found",
    b"PK\x03\x04",
    b"BLOBFILE(path = ",
    b'BLOBFILE(path = string("@model_path/../x"), offset = uint64(64))',
    b'BLOBFILE(path = string("@model_path/weights/other.bin"), offset = uint64(128))',
    b"\xef\xbe\xad\xde",
    b'"',
    b"\\",
    b"}",
    b"\xff\xfe",
    b"99999999999999999999",
)


def damage(bundle: Path, chance: random.Random) -> None:
    """Hurt a bundle in one to three ways, or not at all."""
    for _ in range(chance.randrange(4)):
        files = sorted(path for path in bundle.rglob("*") if path.is_file())
        if not files:
            return
        path = chance.choice(files)
        data = bytearray(path.read_bytes())
        at = chance.randrange(len(data) + 1)
        match chance.randrange(7):
            case 0:
                del data[at:]
            case 1 if data:
                data[min(at, len(data) - 1)] = chance.randrange(256)
            case 2:
                data[at:at] = chance.choice(_SNIPPETS)
            case 3:
                data = bytearray(chance.choice(_SNIPPETS) + data)
            case 4:
                found = list(re.finditer(rb"\d+", data))
                if found:
                    number = chance.choice(found)
                    new = str(chance.choice((0, 1, 64, 65, 2**31, 2**64 - 1, 2**70)))
                    data[number.start() : number.end()] = new.encode()
            case 5:
                word = chance.randrange(0, max(1, len(data) // 8)) * 8
                data[word : word + 8] = chance.choice((0, 1, 2, 3, 2**32, 2**63)).to_bytes(
                    8, "little"
                )
            case _:
                path.unlink()
                continue
        path.write_bytes(data)


def ours(bundle: Path) -> dict[str, Any] | None:
    """Return what the Python inspection finds wrong; `None` for a whole bundle."""
    said = coreml_cases.verdict(bundle)
    if "fault" not in said:
        return None
    shown = said["message"].encode(errors="surrogateescape").decode(errors="replace")
    expected = said["expected"]
    if expected is not None:
        expected = min(expected, _MOST)
    return {**said, "message": shown, "expected": expected}  # as an answer can say them


def theirs(said: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the Swift inspection finds wrong; `None` for a whole bundle."""
    if said.get("fault") is None:
        return None
    return {name: said[name] for name in ("fault", "message", "measured", "expected", "member")}


@pytest.mark.parametrize("seed", range(4))
def test_the_inspections_agree(seed: int, tmp_path: Path) -> None:
    """The same fault, words, lengths and member for each of 240 bundles."""
    chance = random.Random(seed)
    faults: set[str] = set()
    with bridge.Serving(bridges.stubbed("fluidaudio"), environment=os.environ) as serving:
        for number in range(_FOLDERS):
            folder = tmp_path / str(number)
            for name in _PARTS:
                bundle = folder / f"{name}.mlmodelc"
                builders.mlmodelc(bundle, spelling=chance.choice(("ios17", "ios18")))
                damage(bundle, chance)
            (folder / "parakeet_vocab.json").write_text('{"0": "a"}')
            said = serving.ask("check", model_dir=str(folder), timeout_s=60)
            for each in said["bundles"]:
                expected = ours(folder / each["bundle"])
                assert theirs(each) == expected, (folder / each["bundle"], each)
                faults.add(expected["fault"] if expected else "")
    assert {"", "hollow-bundle", "truncated", "wrong-magic", "malformed-header"} <= faults
