"""Documents → machines: which documents belong to one machine, and which to one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.report.page import readings
from cachedoctor.report.page.readings import Found, Model, Ready

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.report.page.documents import Body, Document

_TOGETHER_S = 3600.0  # a scan, a list and a verify within an hour describe one state


class Look(NamedTuple):
    """One machine at one moment."""

    when_s: float | None
    models: tuple[Model, ...]
    findings: tuple[Found, ...]
    ready: tuple[Ready, ...]
    bodies: tuple[Body, ...]  # the answers it all comes from


class Bench(NamedTuple):
    """One benchmark of a machine."""

    machine: str
    when_s: float | None
    body: Body


class Machine(NamedTuple):
    """One machine: its looks and benchmarks, the newest last."""

    name: str
    home: str
    platform: str
    looks: tuple[Look, ...]
    benches: tuple[Bench, ...]
    state: str  # as its fleet gives it; empty outside a fleet
    why: str
    live: bool  # it was looked at just now, and printed commands are about it

    @property
    def last(self) -> Look | None:
        """Return the newest look."""
        return self.looks[-1] if self.looks else None


def machines(documents: Sequence[Document]) -> list[Machine]:
    """Return the machines that documents describe, in the order of their first document."""
    named: dict[str, set[str]] = {}
    for document in documents:
        if document.machine:
            named.setdefault(_home(document), set()).add(document.machine)
    met: dict[str, list[Document]] = {}
    for document in documents:
        home = _home(document)
        known = named.get(home, set())  # without a name: the only machine with this home
        name = document.machine or (next(iter(known)) if len(known) == 1 else home)
        met.setdefault(name or "this machine", []).append(document)
    return [_machine(name, mine) for name, mine in met.items()]


def _home(document: Document) -> str:
    return readings.text(readings.part(document.body, "host"), "home")


def _machine(name: str, documents: Sequence[Document]) -> Machine:
    documents = sorted(documents, key=lambda one: one.when_s or 0.0)
    last = documents[-1]
    hosts = [readings.part(one.body, "host") for one in documents]
    error = readings.text(readings.part(last.body, "error"), "message")
    return Machine(
        name=name,
        home=next(filter(None, (readings.text(host, "home") for host in hosts)), ""),
        platform=next(filter(None, (readings.text(host, "platform") for host in hosts)), ""),
        looks=tuple(_look(name, mine) for mine in _moments(documents)),
        benches=tuple(_bench(name, one) for one in documents if "bench" in one.body),
        state=last.state or ("failed" if error else ""),
        why=last.why or error,
        live=last.home,
    )


def _bench(name: str, document: Document) -> Bench:
    body = readings.part(document.body, "bench")
    return Bench(name, readings.number(body, "began_s") or document.when_s, body)


def _moments(documents: Sequence[Document]) -> list[list[Document]]:
    """Return documents that describe one state together: each of another kind, soon after another.

    A document that says nothing about models describes no state.
    """
    found: list[list[Document]] = []
    for one in documents:
        if _kind(one) == "":
            continue
        near = found and (one.when_s or 0.0) - (found[-1][0].when_s or 0.0) <= _TOGETHER_S
        if near and _kind(one) not in map(_kind, found[-1]):
            found[-1].append(one)
        else:
            found.append([one])
    return found


def _kind(document: Document) -> str:
    """Return the command that a document answers, from its keys."""
    for key in ("files", "loose", "findings", "verdict", "verdicts"):
        if key in document.body:
            return key
    return ""


def _look(name: str, documents: Sequence[Document]) -> Look:
    """Join what documents say about one state; for a model, the newest document wins."""
    bodies = tuple(one.body for one in documents)
    known: dict[str, Body] = {}
    for body in bodies:
        for row in readings.rows(body, "entries"):
            known[readings.text(row, "id")] = {**known.get(readings.text(row, "id"), {}), **row}
    judged = [body for body in bodies if "findings" in body][-1:] or list(bodies)
    answers = [tuple(readings.readiness(body)) for body in bodies]
    return Look(
        when_s=documents[-1].when_s,
        models=tuple(readings.models({"entries": list(known.values())}, name)),
        findings=tuple(found for body in judged for found in readings.findings(body, name)),
        ready=next(filter(None, reversed(answers)), ()),
        bodies=bodies,
    )
