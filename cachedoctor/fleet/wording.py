"""The answers of all machines as text, the worst first, as JSON and for CI; pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cachedoctor.findings import Severity
from cachedoctor.fleet.judging import State
from cachedoctor.report.cases import Case, Problem
from cachedoctor.report.record import SCHEMA
from cachedoctor.text import plural, printable, size
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cachedoctor.fleet.judging import Answer, Document

NOTHING: Mapping[str, Sequence[str]] = {}
NO_SIZES: Mapping[str, int] = {}
_ORDER = {state: number for number, state in enumerate(State)}
_COUNTED = {
    State.NO_TOOL: "without cachedoctor",
    State.TOO_OLD: "too old",
    State.NO_ANSWER: "without an answer",
    State.FINDINGS: "with findings",
    State.TIMEOUT: "too slow",
}


def ordered(answers: Iterable[Answer]) -> list[Answer]:
    """Return the answers worst first, then by what is wrong, then by name."""
    return sorted(
        answers, key=lambda each: (_ORDER[each.state], -sum(_faults(each)[:2]), each.host)
    )


def lines(command: str, answers: Iterable[Answer]) -> Iterator[str]:
    """Yield one line per machine and one that counts."""
    found = ordered(answers)
    rows = [(printable(each.host), _word(each), _detail(command, each)) for each in found]
    wide = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for host, word, detail in rows:
        yield f"{host:{wide[0]}}  {word:{wide[1]}}  {detail}".rstrip()
    yield counting(found)


def plan_lines(
    answers: Iterable[Answer],
    unpacks: Mapping[str, Sequence[str]] = NOTHING,
    source: str = "",
    sizes: Mapping[str, int] = NO_SIZES,
) -> Iterator[str]:
    """Yield what a fix would do on each machine: its line, and below it each repair.

    `unpacks` are the models that machines get from `source`, `sizes` their lengths.
    """
    found = ordered(answers)
    wide = max((len(printable(each.host)) for each in found), default=0)
    for answer in found:
        state = "" if answer.state.answered else f"{answer.state.value}  "
        plan = (answer.document or {}).get("plan") or {}
        models = unpacks.get(answer.host, ())
        told = [f"{plural(len(models), 'model')} from {printable(source)}"] if models else []
        if not models or plan.get("cures") or plan.get("unfinished"):
            told.append(_detail("fix", answer))
        yield f"{printable(answer.host):{wide}}  {state}{', '.join(told)}".rstrip()
        for finding in _list(plan, "cures") if answer.state.answered else ():
            repair = finding.get("repair") or {}
            yield f"  {finding.get('code')} {finding.get('path')}: {repair.get('describe')}"
        for item in _list(plan, "finishes") if answer.state.answered else ():
            yield f"  finish the fix {item.get('id')}: {plural(item.get('steps', 0), 'step')}"
        for model in models:
            yield f"  unpack {model} as {printable(source)} has it, {size(sizes[model])}"
    fetched = sum(((each.document or {}).get("plan") or {}).get("fetch_bytes", 0) for each in found)
    yield counting(found) + (f"; fetches {size(fetched)} in all" if fetched else "")


def troubles(answers: Iterable[Answer]) -> tuple[str, ...]:
    """Return a line for each part of a run that went wrong."""
    return tuple(
        f"{printable(each.host)}: {each.state.value}: {each.why or 'see its own answer'}"
        for each in answers
    )


def counting(answers: Sequence[Answer]) -> str:
    """Return the line that counts."""
    count = Counter(each.state for each in answers)
    parts = [
        f"{count[state]} {_COUNTED.get(state, state.value)}"
        for state in reversed(State)
        if count[state]
    ]
    said = f"{plural(len(answers), 'host')}: {', '.join(parts)}"
    return said + (f" (exit {code})" if (code := exit_code(answers)) else "")


def exit_code(answers: Iterable[Answer]) -> int:
    """Return 5 if a machine gave no answer, 1 if one has findings, otherwise 0."""
    states = {each.state for each in answers}
    if any(not state.answered for state in states):
        return 5
    return 1 if State.FINDINGS in states else 0


def json_of(command: str, answers: Iterable[Answer], **more: object) -> dict[str, object]:
    """Return all answers as data."""
    found = ordered(answers)
    count = Counter(each.state for each in found)
    return {
        "schema": SCHEMA,
        "tool": {"name": "cachedoctor", "version": VERSION},
        "command": command,
        "hosts": {
            printable(each.host): {
                "state": each.state.value,
                "why": each.why,
                "seconds": each.seconds,
                "document": each.document,
            }
            for each in found
        },
        "states": {state.value: count[state] for state in State},
        "exit_code": exit_code(found),
        **more,
    }


def cases(command: str, answers: Iterable[Answer]) -> tuple[Case, ...]:
    """Return one case per machine, for CI."""
    return tuple(
        Case(f"fleet {command}", each.host, tuple(_problems(command, each)))
        for each in ordered(answers)
    )


def _problems(command: str, answer: Answer) -> Iterator[Problem]:
    if answer.state.answered:
        for finding in _list(answer.document, "findings"):
            severity = Severity(finding.get("severity", "error"))
            title = f"{finding.get('code')} {finding.get('slug')}"
            yield Problem(severity, title, f"{finding.get('message')} ({finding.get('path')})")
        if answer.state is State.FINDINGS and not _list(answer.document, "findings"):
            yield Problem(Severity.ERROR, answer.state.value, _detail(command, answer))
    else:
        yield Problem(Severity.ERROR, answer.state.value, answer.why or "")


def _word(answer: Answer) -> str:
    errors, warnings, notes = _faults(answer)
    if answer.state is State.FINDINGS:
        for count, noun in ((errors, "error"), (warnings, "warning"), (notes, "note")):
            if count:
                return plural(count, noun)
    return answer.state.value


def _detail(command: str, answer: Answer) -> str:
    """Return what is said about a machine beside its state."""
    document = answer.document
    if document is None or not answer.state.answered:
        return answer.why or ""
    return printable(_DETAILS.get(command, _looked)(document))


def _looked(document: Document) -> str:
    entries = {each.get("id"): each for each in _list(document, "entries")}
    for severity in ("error", "warning"):
        found = [f for f in _list(document, "findings") if f.get("severity") == severity]
        if found:
            first = found[0]
            named = [_title(entries[id_]) for id_ in first.get("entries", []) if id_ in entries]
            subject = named[0] if named else str(first.get("path"))
            return f"{subject}: {first.get('code')} {first.get('slug')}"
    models = sum(1 for each in entries.values() if each.get("engines"))
    held = (document.get("summary") or {}).get("size_bytes", 0)
    return f"{plural(models, 'model')}  {size(held)}"


def _title(entry: Mapping[str, object]) -> str:
    engines = entry.get("engines")
    first = engines[0] if isinstance(engines, list) and engines else "other"
    return f"{first} {entry.get('model')}"


def _preflighted(document: Document) -> str:
    verdicts = _list(document, "verdicts") or [document.get("verdict") or {}]
    bad = [each for each in verdicts if not each.get("ready")]
    if not bad:
        return ", ".join(f"{each.get('engine')} {each.get('model')}" for each in verdicts)
    first = bad[0]
    asked = first.get("model") or first.get("size")
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"{first.get('engine')} {asked}: {first.get('why')}{more}"


def _fixed(document: Document) -> str:
    plan = document.get("plan") or {}
    cures = _list(plan, "cures")
    manual = _list(plan, "by_hand")
    by_hand = f", {len(manual)} left to you" if manual else ""
    if "run" in document:
        left = _list(document["run"], "left")
        done = plural(len(cures), "repair") + " made"
        return done + (f", {plural(len(left), 'finding')} left" if left else "") + by_hand
    if not cures and not _list(plan, "unfinished"):
        return "nothing to repair" + by_hand
    fetched = plan.get("fetch_bytes", 0)
    codes = Counter(str(each.get("code")) for each in cures)
    what = ", ".join(f"{count} × {code}" if count > 1 else code for code, count in codes.items())
    unfinished = len(_list(plan, "unfinished"))
    more = f", {plural(unfinished, 'unfinished run')}" if unfinished else ""
    return f"{plural(len(cures), 'repair')} ({what}){more}, fetches {size(fetched)}{by_hand}"


def _benched(document: Document) -> str:
    rows = _list(document.get("bench"), "rows")
    timed = [row for row in rows if isinstance(row.get("times_real_time"), int | float)]
    if not timed:
        return f"{plural(len(rows), 'row')} measured"
    best = max(timed, key=lambda row: float(row["times_real_time"]))
    return f"{best.get('engine')} {best.get('model')}: {best['times_real_time']:.1f} × real time"


def _undone(document: Document) -> str:
    return f"{plural(len(_list(document, 'runs')), 'run')} taken back"


def _faults(answer: Answer) -> tuple[int, int, int]:
    summary = (answer.document or {}).get("summary") or {}
    return summary.get("errors", 0), summary.get("warnings", 0), summary.get("notes", 0)


def _list(body: Mapping[str, object] | None, key: str) -> list[Document]:
    found = (body or {}).get(key)
    return found if isinstance(found, list) else []


_DETAILS = {"preflight": _preflighted, "fix": _fixed, "bench": _benched, "undo": _undone}
