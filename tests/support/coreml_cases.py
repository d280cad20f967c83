"""The table of Core ML bundles on which the Python and the Swift inspection must agree.

`swift/Tests/coreml_cases.json` holds whole bundles as pieces of bytes, and cases: a bundle, its
damage, and the verdict. `swift/Tests/BridgeKitTests/CoreMLTests.swift` reads the same file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cachedoctor import formats
from cachedoctor.errors import FormatError

TABLE: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "swift" / "Tests" / "coreml_cases.json").read_text()
)


def build(case: dict[str, Any], folder: Path) -> None:
    """Write the bundle of a case at `folder`, and damage it."""
    for name, pieces in TABLE["bundles"][case["bundle"]].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(pieces))
    for step in case["steps"]:
        _damage(folder / step["file"], step)


def content(pieces: list[dict[str, Any]]) -> bytes:
    """Return bytes given as text or hexadecimal digits, each piece repeated as often as it says."""
    return b"".join(
        (bytes.fromhex(piece["hex"]) if "hex" in piece else piece["text"].encode())
        * piece.get("times", 1)
        for piece in pieces
    )


def verdict(folder: Path) -> dict[str, Any]:
    """Return the verdict of the Python format on a bundle, in the table's words."""
    try:
        reading = formats.find_bundle("coreml").inspect(str(folder))
    except FormatError as error:
        return {
            "fault": error.fault.value,
            "message": error.message,
            "measured": error.measured,
            "expected": error.expected,
            "member": error.member,
        }
    return {"bytes": reading.length_bytes, **reading.details}


def _damage(path: Path, step: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    match step["do"]:
        case "write":
            path.write_bytes(content(step["content"]))
        case "append":
            path.write_bytes(path.read_bytes() + content(step["content"]))
        case "cut":
            os.truncate(path, step["bytes"])
        case "patch":
            data, new = bytearray(path.read_bytes()), content(step["content"])
            data[step["at"] : step["at"] + len(new)] = new
            path.write_bytes(data)
        case "replace":
            path.write_text(path.read_text().replace(step["old"], step["new"]))
        case "remove":
            path.unlink()
        case "link":
            path.unlink(missing_ok=True)
            path.symlink_to(step["to"])
        case "folder":
            path.unlink(missing_ok=True)
            path.mkdir()
        case "fifo":
            path.unlink(missing_ok=True)
            os.mkfifo(path)
        case other:
            raise AssertionError(f"no step `{other}`")
