"""What a manager's command would change, and the outcome, as text; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.plans.relocation import Relocation
from cachedoctor.plans.removal import cost
from cachedoctor.report.folding import Folding
from cachedoctor.report.scan_text import brief
from cachedoctor.text import plural, printable, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host
    from cachedoctor.plans.changes import Change, Choice

_MOST_SPARED = 10


def change_lines(change: Change, host: Host, *, verbose: bool = False) -> Iterator[str]:
    """Yield a change: what goes and why, what it breaks and costs, and what stays."""
    running = 0
    yield from change.by_the_way
    for choice in change.choices:
        running += choice.bytes
        yield from _words(change).choice(choice, change, host, running)
    if change.spared:
        if change.choices:
            yield ""
        shown = change.spared if verbose else change.spared[:_MOST_SPARED]
        for one in shown:
            words = f"stays   {printable(one.title)}, {size(one.bytes)}: {printable(one.why)}"
            yield Folding(words, 8)
        rest = len(change.spared) - len(shown)
        if rest:
            yield f"stays   {rest} more; `-v` lists them"
    if not change.choices:
        yield f"nothing to {change.verb}{_short(change)}"
        return
    yield ""
    yield Folding(_words(change).total(change))


def question(change: Change, *, delete: bool) -> str:
    """Return the one question to ask."""
    return _words(change).question(change, delete=delete)


def last_question(change: Change) -> str:
    """Return the question about what cannot be fetched again."""
    names = ", ".join(choice.title for choice in change.lost)
    return f"No source is known for {printable(names)}: delete it for good anyway?"


def refused(change: Change) -> str:
    """Return why nothing was deleted: nobody agreed to a loss that cannot be undone."""
    names = ", ".join(choice.title for choice in change.lost)
    return (
        f"nothing was changed: no source is known for {printable(names)}; "
        "without `--delete` it is set aside, and `undo` brings it back"
    )


def outcome_lines(
    change: Change, host: Host, freed_bytes: int | None, *, deleted: bool
) -> Iterator[str]:
    """Yield the outcome of an applied change, and how to undo it."""
    if deleted:
        did = f", {size(freed_bytes)} measured" if freed_bytes is not None else ""
        yield f"✓ deleted; {size(change.bytes)} should be free{did}"
        return
    yield from _words(change).outcome(change, host, freed_bytes)


class _Going:
    """The words for a change that sets things aside, or deletes them."""

    def question(self, change: Change, *, delete: bool) -> str:
        things = plural(len(change.choices), "thing")
        if delete:
            return f"Delete {things}, {size(change.bytes)}, for good?"
        return f"Set {things} aside, {size(change.bytes)}?"

    def choice(self, choice: Choice, change: Change, host: Host, running: int) -> Iterator[str]:
        total = f"  {size(running):>10}" if change.target_bytes is not None else ""
        name = "" if choice.waste else f"{printable(choice.title)}: "  # its path names it
        yield f"{size(choice.bytes):>10}{total}  {name}{choice.reason}"
        yield f"            {_place(choice, host)}"
        yield from _after(choice)

    def total(self, change: Change) -> str:
        words = f"{plural(len(change.choices), 'thing')}, {size(change.bytes)}"
        if change.refetch_bytes:
            words += f"; getting it all back is a download of {size(change.refetch_bytes)}"
        return words + _short(change)

    def outcome(self, change: Change, host: Host, freed_bytes: int | None) -> Iterator[str]:
        empty, undo = host.command("quarantine", "empty"), host.command("undo")
        yield Folding(
            f"✓ set aside; {size(change.bytes)} free after `{empty}` · back with `{undo}`", 2
        )


class _Removing(_Going):
    """The words for models that the user named for removal."""

    def choice(self, choice: Choice, change: Change, host: Host, running: int) -> Iterator[str]:
        yield f"remove  {printable(choice.title)}, {size(choice.bytes)} from {_place(choice, host)}"
        kept = "; ".join(choice.needed_by) or "nothing asks for it (no lock file, no `keep`)"
        yield from _after(choice, f"  kept  {printable(kept)}")


class _Sharing(_Going):
    """The words for files that will share blocks."""

    def question(self, change: Change, *, delete: bool) -> str:
        things = plural(len(change.choices), "thing")
        return f"Let {things} share blocks, {size(change.bytes)}?"

    def outcome(self, change: Change, host: Host, freed_bytes: int | None) -> Iterator[str]:
        should, did = size(change.bytes), size(freed_bytes or 0)
        yield f"✓ the same bytes are stored once; {should} should be free, {did} measured"


class _Moving(_Going):
    """The words for a cache that moves to another place."""

    def question(self, change: Change, *, delete: bool) -> str:
        return f"Copy {size(change.copied_bytes)} and switch?" if change.copied_bytes else "Move?"

    def choice(self, choice: Choice, change: Change, host: Host, running: int) -> Iterator[str]:
        yield f"  {printable(choice.repair.describe)}"

    def total(self, change: Change) -> str:
        copied = change.copied_bytes
        words = f"{size(copied)} to copy and prove"
        return words if copied else "on the same disk: nothing to copy"

    def outcome(self, change: Change, host: Host, freed_bytes: int | None) -> Iterator[str]:
        back = f"back with `{host.command('undo')}`"
        if not change.copied_bytes:
            yield f"✓ moved · {back}"
            return
        freed = f"`{host.command('quarantine', 'empty')}` frees the old place"
        yield f"✓ moved and proven; {freed} · {back}"
        if isinstance(change.copies, Relocation):
            yield f"  after `undo`, the copy stays in `{printable(change.copies.part)}`"


class _Unpacking(_Going):
    """The words for models that come out of a pack."""

    def question(self, change: Change, *, delete: bool) -> str:
        return f"Unpack {plural(len(change.choices), 'model')}, {size(change.bytes)}?"

    def choice(self, choice: Choice, change: Change, host: Host, running: int) -> Iterator[str]:
        place = _place(choice, host)
        yield f"unpack  {printable(choice.title)}, {size(choice.bytes)} to {place}"

    def outcome(self, change: Change, host: Host, freed_bytes: int | None) -> Iterator[str]:
        yield f"✓ in place and proven · taken back with `{host.command('undo')}`"


_GOING = _Going()
_BY_VERB = {
    "dedupe": _Sharing(),
    "move": _Moving(),
    "remove": _Removing(),
    "unpack": _Unpacking(),
}


def _words(change: Change) -> _Going:
    return _BY_VERB.get(change.verb, _GOING)


def _place(choice: Choice, host: Host) -> str:
    return printable(brief(choice.path, host))


def _after(choice: Choice, *more: str) -> Iterator[str]:
    """Yield what will no longer work, `more`, and what it costs to fetch the choice again."""
    yield from (f"  then  {line}" for line in choice.then)
    yield from more
    if not choice.waste:
        yield f"  refetch {cost(choice)}"


def _short(change: Change) -> str:
    """Return how far short of its target a change falls, or nothing."""
    if change.target_bytes is None or change.reached:
        return ""
    return f"; {size(change.target_bytes - change.bytes)} short of what you asked for"
