"""What the disk holds, as text; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import locators, rules
from cachedoctor.plans.sieve import title
from cachedoctor.report.folding import Folding, Stacked
from cachedoctor.report.scan_table import is_usual
from cachedoctor.text import plural, printable, size
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cachedoctor.findings import Finding
    from cachedoctor.host import Host
    from cachedoctor.plans.holdings import Holding, Holdings

_DAY_S = 86400
_NONE = "–"
_HEADS = ("size", "own", "last used", "model", "needed by", "where", "refetch")
_BELOW = ("needed by", "where", "refetch")  # the model, on a narrow terminal
_RIGHT = ("size", "own", "refetch", "last used")
_DEEPEST = 24  # columns before what is below the model, on a narrow terminal
_WIDEST = {"model": 44, "needed by": 34}


class Row(NamedTuple):
    """One line of the table: a cell for each column."""

    size: str
    own: str
    used: str
    model: str
    needed_by: str
    where: str
    again: str


def list_lines(
    holdings: Holdings,
    chosen: Sequence[Holding],
    loose: Sequence[Finding],
    freed: Mapping[str, int],
    now: float,
    *,
    by: str = "",
) -> Iterator[str]:
    """Yield a table of models and what is beside them, then the count.

    `freed` is what can go without loss, by kind; `by` groups by engine, app or place.
    """
    host = holdings.report.host
    rows = [(_group(one, by, host), row(one, host, now)) for one in chosen]
    rows += [("not part of a model" if by else "", loose_row(one)) for one in loose]
    if not rows:
        yield "no models here"
        if not holdings.models:
            fetch = host.command("pull", "faster-whisper:small")
            yield Folding(f"next: `{fetch}` fetches one; `cachedoctor demo` is a tour")
        return
    yield from _table(rows)
    yield ""
    yield _counted(holdings, chosen, loose)
    if freed:
        yield without_loss(freed, host)


def without_loss(freed: Mapping[str, int], host: Host) -> str:
    """Return the line that says how much can go without loss, and the command for it."""
    kinds = ", ".join(f"{kind} {size(count)}" for kind, count in freed.items())
    total = sum(freed.values())
    return f"Without loss: {size(total)} ({kinds}): `{host.command('free', rounded(total))}`"


def place(one: Holding, host: Host) -> str:
    """Return in words where a model is."""
    entry = one.entry
    if one.apps:
        where = f"{one.apps[0]}'s folder"
    elif is_usual(entry.root, host):
        where = _layout(entry.locator)
    else:
        where = printable(host.short(entry.root))
    return where


def ago(when_s: float, now: float) -> str:
    """Return how long ago something was, in whole days."""
    days = int((now - when_s) // _DAY_S)
    return "today" if days < 1 else f"{plural(days, 'day')} ago"


def needed(one: Holding) -> str:
    """Return in words who needs a model."""
    if not one.entry.engines:
        words = [", ".join(one.part_of) or "no known engine"]
    elif not one.needed_by:
        words = [", ".join(one.entry.engines)]
    else:
        by_sizes: dict[tuple[str, ...], list[str]] = {}
        for engine, sizes in one.needed_by:
            by_sizes.setdefault(sizes, []).append(engine)
        words = [
            f"{_sizes(sizes)} of {users[0] if len(users) == 1 else f'{len(users)} engines'}"
            for sizes, users in by_sizes.items()
        ]
    words += one.apps
    words += ["kept"] if one.kept_by else []
    return " · ".join(words)


def _layout(name: str) -> str:
    return locators.find(name).title or name


def _sizes(sizes: Sequence[str]) -> str:
    return "every size" if len(sizes) == 5 else ", ".join(sizes)


def again_words(refetch_bytes: int | None, status: str) -> str:
    """Return what it costs to have a model again: a size, or why nobody knows."""
    if refetch_bytes is not None:
        return size(refetch_bytes)
    return "not as published" if status == Status.CORRUPT.value else "no known source"


def row(one: Holding, host: Host, now: float) -> Row:
    """Return the line of one model."""
    used = "now" if one.programs else _NONE
    if not one.programs and one.used.when_s is not None:
        used = ago(one.used.when_s, now)
    elif not one.programs and one.used.asked_s is not None:
        used = f"asked for {ago(one.used.asked_s, now)}"
    name = title(one)
    if one.entry.revision and not one.entry.refs:
        name += f"@{one.entry.revision[:7]}"
    state = one.status.value if one.status is not Status.UNKNOWN else one.unseen
    if one.status is not Status.READY and state:
        name += f" ({state})"
    where = place(one, host)
    if one.names > 1:
        where += f" ({one.names} names, 1 copy)"
    own = size(one.own_bytes) if one.exact else f"≥ {size(one.own_bytes)}"
    again = again_words(one.refetch_bytes, one.status.value)
    return Row(
        size=size(one.size_bytes),
        own=own,
        used=used,
        model=printable(name),
        needed_by=needed(one),
        where=where,
        again=again,
    )


def loose_row(finding: Finding) -> Row:
    """Return the line of something beside models."""
    where = _layout(finding.locator) if finding.locator else ""
    amount = size(finding.bytes)
    owner = finding.path.rpartition("/models--")[2].partition("/")[0].replace("--", "/")
    mine = f" ({owner})" if owner and owner != finding.path else ""
    name = f"{rules.find(finding.code).litter}{mine}"
    return Row(
        size=amount,
        own=amount,
        used=_NONE,
        model=printable(name),
        needed_by="nothing",
        where=where,
        again=_NONE,
    )


def _table(rows: Sequence[tuple[str, Row]]) -> Iterator[str]:
    """Lay out the rows; the column of own bytes appears only if one of them differs."""
    shared = any(row.own != row.size for _, row in rows)
    heads = [head for head in _HEADS if shared or head != "own"]

    at = [_HEADS.index(head) for head in heads]
    cells = [[_cut(row[column], _HEADS[column]) for column in at] for _, row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]

    def line(words: Sequence[str]) -> str:
        padded = [
            f"{word:>{width}}" if head in _RIGHT else f"{word:<{width}}"
            for head, word, width in zip(heads, words, widths, strict=True)
        ]
        first, rest = padded[: -len(_BELOW)], words[-len(_BELOW) :]
        indent = " " * min(_DEEPEST, sum(widths[: len(first) - 1]) + 2 * (len(first) - 1))
        below = f"{indent}{' · '.join(filter(None, rest[:-1]))} · {_again(rest[-1])}"
        lines = (Folding("  ".join(first).rstrip(), 2), Folding(below, len(indent)))
        return Stacked("  ".join(padded).rstrip(), lines)

    yield line(heads)
    group = ""
    for (name, _), words in zip(rows, cells, strict=True):
        if name and name != group:
            yield from ("", name)
            group = name
        yield line(words)


def _again(word: str) -> str:
    """Return what it costs to fetch something again, for a table without headings."""
    return f"refetch {word}" if word[:1].isdigit() else word.replace(_NONE, "nothing to refetch")


def _cut(word: str, head: str) -> str:
    most = _WIDEST.get(head, len(word))
    return word if len(word) <= most else word[: most - 1] + "…"


def _group(one: Holding, by: str, host: Host) -> str:
    if by == "engine":
        return ", ".join(one.entry.engines) or "no known engine"
    if by == "app":
        return one.apps[0] if one.apps else "no app"
    return place(one, host) if by == "place" else ""


def grouped(chosen: Sequence[Holding], by: str, host: Host) -> list[Holding]:
    """Return holdings grouped, the groups in the order of their first member."""
    first: dict[str, int] = {}
    for one in chosen:
        first.setdefault(_group(one, by, host), len(first))
    return sorted(chosen, key=lambda one: first[_group(one, by, host)])


def _counted(holdings: Holdings, chosen: Sequence[Holding], loose: Sequence[Finding]) -> str:
    every = len(chosen) == len(holdings.models)
    total = holdings.total_bytes if every else sum(one.own_bytes for one in chosen)
    total += sum(finding.bytes for finding in loose)
    least = "" if holdings.exact else "at least "
    places = len({one.entry.root for one in chosen})
    return f"{least}{size(total)} in {plural(places, 'place')}, {plural(len(chosen), 'model')}"


def rounded(count: int) -> str:
    """Return a size rounded down, as the command line takes it."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << shift:
            return f"{int(count * 10 / (1 << shift)) / 10:g}{unit}"
    return str(count)
