"""Which key runs which command, what it asks first, and the plan it makes.

The bindings, the list of commands behind `?` and the forms are all made from `COMMANDS`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.browse import proposals, repairing
from cachedoctor.errors import UsageError
from cachedoctor.findings import Finding
from cachedoctor.manager.library import PastRun
from cachedoctor.plans import sieve
from cachedoctor.plans.holdings import Holding
from cachedoctor.system.amounts import seconds_of, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cachedoctor.browse.proposals import Make
    from cachedoctor.browse.rows import Subject
    from cachedoctor.host import Host
    from cachedoctor.system.network import Network


class Field(NamedTuple):
    """One question of a form."""

    name: str
    label: str
    hint: str = ""  # shown while the field is empty
    tick: bool = False  # yes or no, not text


class Asked(NamedTuple):
    """What a command is made from."""

    network: Network
    subjects: tuple[Subject, ...]  # what is marked, or else the row at the cursor
    values: Mapping[str, str] = {}  # from the form; a tick is `yes` or nothing

    @property
    def host(self) -> Host:
        """Return the host that it is about."""
        return self.network.host

    @property
    def models(self) -> tuple[Holding, ...]:
        """Return the chosen models."""
        return tuple(one for one in self.subjects if isinstance(one, Holding))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the chosen findings, including waste beside the models."""
        return tuple(one for one in self.subjects if isinstance(one, Finding))

    def age(self, name: str) -> float | None:
        """Return an age in seconds, or `None` if none was given; raises `UsageError`."""
        words = self.values.get(name, "").strip()
        return seconds_of(words) if words else None

    def path(self, name: str) -> str:
        """Return a path, which is required; raises `UsageError`."""
        words = self.values.get(name, "").strip()
        if not words:
            raise UsageError("name a folder", hint="such as /media/stick/models")
        return os.path.expanduser(words)


class Command(NamedTuple):
    """One command of the program, as the screen offers it."""

    name: str
    key: str
    says: str
    make: Callable[[Asked], Make]  # raises `UsageError` for invalid input
    fields: tuple[Field, ...] = ()
    check: Callable[[Asked], str] | None = None  # why the choice is refused


def _no_model(asked: Asked) -> str:
    if asked.findings and not asked.models:
        return "this is not a model; use `f`"
    if not asked.models:
        return "select a model first; `1` lists them"
    return "not everything marked is a model; unmark the rest, or use `f`" if asked.findings else ""


def _not_one_model(asked: Asked) -> str:
    return _no_model(asked) or ("one model at a time" if len(asked.models) > 1 else "")


def _nothing_to_fix(asked: Asked) -> str:
    runs = not asked.models and not asked.findings
    return "select a model or a finding first: `1`, `2`" if runs else ""


def _fix(asked: Asked) -> Make:
    """Fix the choice: findings by their code and path, models by what is wrong with them."""
    wanted = {(finding.code, finding.path) for finding in asked.findings}
    ids = {one.id for one in asked.models}
    codes = tuple(dict.fromkeys(finding.code for finding in asked.findings))
    if ids and codes:
        raise UsageError("both models and findings are marked", hint="mark only one kind")
    if codes:
        return repairing.fix(asked.network, codes=codes, only=lambda f: (f.code, f.path) in wanted)
    names = tuple(dict.fromkeys(name for one in asked.models for name in one.entry.engines))
    return repairing.fix(asked.network, only=lambda f: not ids.isdisjoint(f.entries), words=names)


def _prune(asked: Asked) -> Make:
    words = asked.values.get("revisions", "").strip()
    if words and not (words.isdecimal() and int(words) > 0):
        raise UsageError(
            f"not a number of revisions: `{words}`", hint="1 or more, or leave it empty"
        )
    return proposals.prune(
        asked.host,
        int(words) if words else None,
        asked.age("age"),
        caches=bool(asked.values.get("caches")),
    )


def _free(asked: Asked) -> Make:
    amount, most = (asked.values.get(name, "").strip() for name in ("amount", "budget"))
    if bool(amount) == bool(most):
        raise UsageError("give either the space to free or the size to shrink to", hint="20G")
    return proposals.free(asked.host, size_of(amount or most), leave=bool(most))


def _move(asked: Asked) -> Make:
    one = asked.models[0]
    place = one.entry.root if asked.values.get("place") else one.id
    target = asked.path("target")
    return proposals.move(asked.host, place, target, link=not asked.values.get("no-link"))


def _pull(asked: Asked) -> Make:
    lock = asked.values.get("lock", "").strip()
    questions = asked.values.get("models", "").split()
    if not (lock or questions):
        raise UsageError("name a model", hint="`faster-whisper:small`")
    return repairing.pull(asked.network, questions, os.path.expanduser(lock) if lock else None)


def _ids(asked: Asked) -> Sequence[str]:
    return tuple(one.id for one in asked.models)


def _run(asked: Asked) -> str | None:
    return next((one.id for one in asked.subjects if isinstance(one, PastRun)), None)


def _unpack(asked: Asked) -> Make:
    engines = asked.values.get("for", "").split()
    return proposals.unpack(asked.host, asked.path("folder"), engines)


COMMANDS = (
    Command(
        "fix",
        "f",
        says="repair what is marked, or this row",
        make=_fix,
        check=_nothing_to_fix,
    ),
    Command(
        "fix everything",
        "F",
        says="repair every error and warning",
        make=lambda asked: repairing.fix(asked.network),
    ),
    Command(
        "fix waste",
        "w",
        says="set aside what wastes space",
        make=lambda asked: repairing.fix(asked.network, waste=True),
    ),
    Command(
        "remove",
        "d",
        says="set aside the marked models, or this one",
        make=lambda asked: proposals.remove(asked.host, _ids(asked)),
        check=_no_model,
    ),
    Command(
        "prune",
        "p",
        says="set aside what nobody needs",
        make=_prune,
        fields=(
            Field("revisions", "superseded revisions, except this many of the newest", "keep all"),
            Field("age", "superseded revisions older than", "30d"),
            Field("caches", "also caches that Core ML and hf_xet rebuild", tick=True),
        ),
    ),
    Command(
        "free",
        "b",
        says="set aside what you will miss least, up to a size",
        make=_free,
        fields=(
            Field("amount", "free this much", "20G"),
            Field("budget", "or shrink the caches to at most this much", "50G"),
        ),
    ),
    Command(
        "dedupe",
        "=",
        says="store identical files once, where the disk can",
        make=lambda asked: proposals.dedupe(asked.host),
    ),
    Command(
        "move",
        "m",
        says="move a model, or the whole place it is in",
        make=_move,
        fields=(
            Field("target", "the new path itself, not its folder", "/Volumes/Big/hub"),
            Field("place", "move the whole place it is in", tick=True),
            Field("no-link", "leave no link behind", tick=True),
        ),
        check=_not_one_model,
    ),
    Command(
        "pull",
        "n",
        says="fetch models, or make them ready",
        make=_pull,
        fields=(
            Field("models", "ENGINE:SIZE or ENGINE:MODEL, one or more", "faster-whisper:small"),
            Field("lock", "or the models of a lock file", "models.lock"),
        ),
    ),
    Command(
        "pack",
        "P",
        says="pack models into a folder, to take them elsewhere",
        make=lambda asked: proposals.pack(asked.host, _ids(asked), asked.path("folder")),
        fields=(Field("folder", "folder", "/media/stick/models"),),
        check=_no_model,
    ),
    Command(
        "unpack",
        "U",
        says="put packed models where their engines look",
        make=_unpack,
        fields=(
            Field("folder", "folder", "/media/stick/models"),
            Field("for", "for these engines instead", "openai-whisper"),
        ),
    ),
    Command(
        "verify",
        "v",
        says="read and check every byte",
        make=lambda asked: repairing.verify(asked.host, [one.entry.path for one in asked.models]),
        check=_no_model,
    ),
    Command(
        "undo",
        "u",
        says="take back the last change, or this one",
        make=lambda asked: repairing.undo(asked.host, _run(asked)),
    ),
    Command(
        "quarantine empty",
        "e",
        says="delete what is set aside, to free its space",
        make=lambda asked: repairing.empty(asked.host, asked.age("age")),
        fields=(Field("age", "only what was set aside longer ago", "30d"),),
    ),
)


def title(one: Holding) -> str:
    """Return the name of a model."""
    return sieve.title(one)


def find(name: str) -> Command:
    """Return a command by its name."""
    return next(command for command in COMMANDS if command.name == name)
