"""A document → values; a field of the wrong kind counts as missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor.findings import Safety, Severity
from cachedoctor.looking import untrusted
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.report.page.documents import Body

_LONGEST = 1 << 20
BROKEN = (Status.INCOMPLETE, Status.CORRUPT)


class Model(NamedTuple):
    """One model at one place of one machine."""

    machine: str
    id: str
    title: str  # its engine's name for it, or the name of its repository or folder
    name: str  # of its repository, folder or file
    engines: tuple[str, ...]
    status: str
    locator: str
    root: str
    path: str
    revision: str
    bytes: int
    files: int
    own_bytes: int
    last_used_s: float | None
    refetch_bytes: int | None
    apps: tuple[str, ...]
    kept_by: tuple[str, ...]
    in_use_by: tuple[str, ...]
    needed_by: tuple[tuple[str, tuple[str, ...]], ...]
    proven: int  # files with every byte compared
    formed: int  # files checked against their form
    unproven: int

    @property
    def broken(self) -> bool:
        """Return whether its engine would fail."""
        return self.status in BROKEN


class Found(NamedTuple):
    """One finding."""

    machine: str
    code: str
    slug: str
    severity: Severity
    entries: tuple[str, ...]
    engines: tuple[str, ...]
    path: str
    links: tuple[str, ...]
    message: str
    measured: int | str | None
    expected: int | str | None
    unit: str
    evidence: str
    safety: str  # of its repair, empty if there is none
    describe: str
    fetch_bytes: int
    aside_bytes: int

    @property
    def repairable(self) -> bool:
        """Return whether `fix` cures it by itself."""
        return bool(self.safety) and self.safety != Safety.MANUAL


class Ready(NamedTuple):
    """The model that answers one size of one engine."""

    engine: str
    size: str
    model: str
    ready: bool
    here: bool  # some of it is on the machine
    why: str


def models(body: Body, machine: str) -> Iterator[Model]:
    """Yield the models of a scan, a list or a verify."""
    for row in rows(body, "entries"):
        known = text(row, "id")
        checked = row.get("checked")
        checked = checked if isinstance(checked, dict) else {}
        name = known.split("/", 2)[-1].rpartition("@")[0] or known.split("/", 2)[-1]
        size = count(row, "size_bytes") or 0
        own = count(row, "own_bytes")
        needed = ((text(each, "engine"), texts(each, "sizes")) for each in rows(row, "needed_by"))
        if text(row, "status") == Status.ABSENT:
            continue
        yield Model(
            machine=machine,
            id=known,
            title=text(row, "model") or name or os.path.basename(text(row, "path")),
            name=name,
            engines=texts(row, "engines"),
            status=text(row, "status") or Status.UNKNOWN.value,
            locator=text(row, "locator"),
            root=text(row, "root"),
            path=text(row, "path"),
            revision=text(row, "revision"),
            bytes=size,
            files=count(row, "files") or 0,
            own_bytes=size if own is None else own,
            last_used_s=number(row, "last_used_s"),
            refetch_bytes=count(row, "refetch_bytes"),
            apps=texts(row, "apps"),
            kept_by=texts(row, "kept_by"),
            in_use_by=texts(row, "in_use_by"),
            needed_by=tuple(needed),
            proven=count(checked, "digest") or 0,
            formed=count(checked, "structure") or 0,
            unproven=count(checked, "none") or 0,
        )


def findings(body: Body, machine: str) -> Iterator[Found]:
    """Yield what is wrong, as scans, verifies and verdicts say it."""
    for row in rows(body, "findings"):
        yield _finding(row, machine)
    for verdict in verdicts(body):
        if verdict.get("ready") is False:
            row = {**verdict, "message": text(verdict, "why") or "not ready", "severity": "error"}
            model = text(verdict, "model")
            yield _finding({**row, "engines": [text(verdict, "engine")], "slug": model}, machine)
        for warning in rows(verdict, "warnings"):
            yield _finding(warning, machine)


def verdicts(body: Body) -> list[Body]:
    """Return the verdicts of a preflight, one or many."""
    one = body.get("verdict")
    return [one] if isinstance(one, dict) else rows(body, "verdicts")


def _finding(row: Body, machine: str) -> Found:
    repair = row.get("repair")
    repair = repair if isinstance(repair, dict) else {}
    severity = text(row, "severity")
    measured, expected = (_amount(row.get(key)) for key in ("measured", "expected"))
    return Found(
        machine=machine,
        code=text(row, "code"),
        slug=text(row, "slug"),
        severity=Severity(severity) if severity in set(Severity) else Severity.WARNING,
        entries=texts(row, "entries"),
        engines=texts(row, "engines"),
        path=text(row, "path"),
        links=texts(row, "links"),
        message=text(row, "message"),
        measured=measured,
        expected=expected,
        unit=text(row, "unit"),
        evidence=text(row, "evidence"),
        safety=text(repair, "safety"),
        describe=text(repair, "describe"),
        fetch_bytes=count(repair, "fetch_bytes") or 0,
        aside_bytes=count(repair, "aside_bytes") or 0,
    )


def readiness(body: Body) -> Iterator[Ready]:
    """Yield what each engine could load, by size."""
    asked = verdicts(body)  # verdicts that somebody asked for
    for row in (*rows(body, "readiness"), *asked):
        yield Ready(
            engine=text(row, "engine"),
            size=text(row, "size") or text(row, "model"),
            model=text(row, "model"),
            ready=row.get("ready") is True,
            here=bool(text(row, "entry")) or row.get("ready") is True or row in asked,
            why=text(row, "why"),
        )


def rows(body: Body, key: str) -> list[Body]:
    """Return the objects of a list; none if it is not a list."""
    found = body.get(key)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def part(body: Body, key: str) -> Body:
    """Return the object at a key, or an empty one."""
    found = body.get(key)
    return found if isinstance(found, dict) else {}


def text(row: Body, key: str) -> str:
    """Return a text, or an empty one."""
    return untrusted.text(row.get(key), _LONGEST) or ""


def texts(row: Body, key: str) -> tuple[str, ...]:
    """Return the texts of a list."""
    found = row.get(key)
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


def count(row: Body, key: str) -> int | None:
    """Return a whole number that is not negative."""
    return untrusted.count(row.get(key))


def number(row: Body, key: str) -> float | None:
    """Return a number that is neither negative nor absurdly large."""
    found = row.get(key)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return None
    return float(found) if 0 <= found <= untrusted.MOST else None


def _amount(value: Any) -> int | str | None:
    return value if isinstance(value, str) else untrusted.count(value)
