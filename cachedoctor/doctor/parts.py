"""Write one part of a look to a file, and merge all parts into one answer.

A part holds what was listed and read, but no findings: rules compare places with each other, so
they run on the merged parts, and the answer is the same as that of a single process.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor.doctor import contents as verification
from cachedoctor.doctor import proven, reading, scanning, survey
from cachedoctor.doctor.carried import Reader, Writer
from cachedoctor.errors import CannotLookError, UsageError
from cachedoctor.question import Question
from cachedoctor.text import plural
from cachedoctor.version import VERSION
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cachedoctor.doctor.shares import Part
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Progress, Root

FORMAT = 1
_MAGIC = b"\x1f\x8b"
_MOST_BYTES = 16 << 30  # of an unpacked part


class Told(NamedTuple):
    """One part: its header, and its values as written."""

    path: str  # of its file, or another name for messages
    number: int
    of: int
    mark: str
    asked: dict[str, Any]
    host: dict[str, Any]
    seconds: float
    seen: object
    contents: object
    proofs: proven.Proofs


class Joined(NamedTuple):
    """All parts merged."""

    question: Question
    gathered: scanning.Gathered


def look_at(
    question: Question,
    part: Part,
    mark: str,
    *,
    progress: Progress = SILENT,
    threads: int | None = None,
) -> bytes:
    """Look at one part, read its files, and return the content of the part's file."""
    import time

    began = time.perf_counter()
    asked = _asked(question)
    question = scanning.placed(question)
    host = question.host
    found = survey.look(host, scanning.looked_for(question), None, question.lock, share=part.share)
    writer = Writer()
    seen = writer.write(list(found.roots))  # before reading marks plain files
    entries = scanning.chosen(question, found)
    mine = part.reads(entries)
    if question.deep:
        contents = reading.read(
            host,
            entries,
            fresh=question.fresh,
            max_age_s=question.max_age_s,
            progress=progress,
            mine=mine,
            threads=threads,
        )
    else:
        contents = verification.recalled(host, entries)
    body = {
        "schema": 1,
        "tool": {"name": "cachedoctor", "version": VERSION},
        "host": _of_host(host),
        "part": {
            "format": FORMAT,
            "number": part.number,
            "of": part.of,
            "plan": mark,
            "asked": asked,
            "seconds": round(time.perf_counter() - began, 4),
        },
        "seen": seen,
        "contents": Writer().write(proven.only(contents, mine)),
        "proofs": proven.proofs(entries, mine),
    }
    return gzip.compress(json.dumps(body, separators=(",", ":")).encode(), 1, mtime=0)


def read(path: str) -> Told:
    """Read the file of one part; raises `CannotLookError` or `UsageError`."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise CannotLookError(f"the part cannot be read: `{path}`: {error.strerror}") from error
    return parsed(content, path)


def parsed(content: bytes, path: str) -> Told:
    """Parse the content of a part's file; raises `UsageError` if it is not one."""
    wrong = UsageError(
        f"this is not a part of a verify: `{path}`",
        hint="`verify --subset K/N --save FILE` writes one",
    )
    try:
        if content.startswith(_MAGIC):
            unpacking = zlib.decompressobj(31)
            content = unpacking.decompress(content, _MOST_BYTES)
            if not unpacking.eof:
                raise wrong
        body = json.loads(content)
        part = body["part"]
        version = body["tool"]["version"]
        if part["format"] != FORMAT or version != VERSION:
            raise UsageError(
                f"cachedoctor {version} wrote this part, and this is {VERSION}: `{path}`",
                hint="use the same version for all parts",
            )
        return Told(
            path=path,
            number=int(part["number"]),
            of=int(part["of"]),
            mark=str(part["plan"]),
            asked=dict(part["asked"]),
            host=dict(body["host"]),
            seconds=float(part["seconds"]),
            seen=body["seen"],
            contents=body["contents"],
            proofs={str(k): (list(v[0]), list(v[1])) for k, v in body["proofs"].items()},
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, zlib.error) as error:
        raise wrong from error


def obstacles(parts: Sequence[Told]) -> tuple[str, ...]:
    """Return the reasons why these parts cannot be merged; empty if they can."""
    first = parts[0]
    said = [
        f"not from the same look as `{first.path}`: `{part.path}`: {what}"
        for part in parts[1:]
        for what in _differences(first, part)
    ]
    by_number: dict[int, list[str]] = {}
    for part in parts:
        by_number.setdefault(part.number, []).append(part.path)
    for number, paths in sorted(by_number.items()):
        if len(paths) > 1:
            said.append(f"part {number}/{first.of} was given {len(paths)} times: {_quoted(paths)}")
    missing = [str(k) for k in range(1, first.of + 1) if k not in by_number]
    if missing:
        numbers = ", ".join(f"{k}/{first.of}" for k in missing)
        said.append(f"{plural(len(missing), 'part')} missing: {numbers}")
    return tuple(said)


def join(parts: Iterable[Told], host: Host) -> Joined:
    """Merge parts for which `amiss` found nothing, as seen from `host`.

    Raises `UsageError` if they are of another home, `CannotLookError` if a cache is not here.
    """
    ordered = sorted(parts, key=lambda part: part.number)
    asked, looked_at = ordered[0].asked, ordered[0].host
    if not asked["paths"] and looked_at != _of_host(host):
        home, platform = looked_at.get("home"), looked_at.get("platform")
        raise UsageError(
            f"the parts are from another home: `{home}` on {platform}",
            hint=f"`--home {home} --platform {platform}`",
        )
    question = scanning.placed(
        Question(
            host,
            tuple(asked["engines"]),
            models=tuple(asked["models"]),
            size=asked["size"],
            paths=tuple(asked["paths"]),
            deep=asked["deep"],
            fresh=asked["fresh"],
            max_age_s=asked["max_age_s"],
        )
    )
    roots: list[list[Root]] = []
    held = []
    for part in ordered:
        roots.append(Reader().read(part.seen))
        held.append((Reader().read(part.contents), part.proofs))
    for root in (root for mine in roots for root in mine if root.entries):
        if not os.path.isdir(root.path):
            raise CannotLookError(
                f"the cache is not here: `{root.path}`", hint="merge where it can be read"
            )
    whole = survey.joined(roots, question.host)
    entries = scanning.chosen(question, whole)
    return Joined(question, scanning.Gathered(whole, proven.joined(entries, held)))


def _of_host(host: Host) -> dict[str, Any]:
    return {"home": host.home, "platform": host.platform, "project": host.project}


def _asked(question: Question) -> dict[str, Any]:
    host = question.host
    return {
        "engines": list(question.engines),
        "models": list(question.models),
        "size": question.size,
        "paths": [os.path.abspath(path) for path in question.paths],
        "deep": question.deep,
        "fresh": question.fresh,
        "max_age_s": question.max_age_s,
        "versions": dict(host.engine_versions),
    }


def _differences(one: Told, other: Told) -> Iterable[str]:
    """Yield why two parts are not of the same look; hosts may differ, places may not."""
    if one.of != other.of:
        yield f"one of {one.of}, the other of {other.of}"
    elif one.asked != other.asked:
        with contextlib.suppress(StopIteration):
            key = next(k for k in one.asked if one.asked[k] != other.asked.get(k))
            yield f"another `{key}` was asked for"
    elif one.mark != other.mark:
        yield "the cache changed in between"


def _quoted(paths: Iterable[str]) -> str:
    return ", ".join(f"`{path}`" for path in paths)
