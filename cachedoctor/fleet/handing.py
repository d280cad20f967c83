"""What one machine has and others lack: packed there, fetched here once, unpacked where missing.

A model is lacking where nothing of it exists: a pack does not repair a damaged one.
"""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import CannotLookError, UsageError
from cachedoctor.fleet import asking, carrier, judging, line, parcel, repairing
from cachedoctor.fleet.judging import State
from cachedoctor.vocabulary import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from cachedoctor.fleet.asking import Means
    from cachedoctor.fleet.carrier import Fleet
    from cachedoctor.fleet.judging import Answer, Document
    from cachedoctor.lockfile import Lock

_LOCAL = "--offline"  # for the other machines, which fetch nothing


class Plans(NamedTuple):
    """What to do on each machine, and which models each gets from `source`."""

    source: str
    answers: list[Answer]  # the plan of each machine's fix: without a network, except on the source
    wanted: Mapping[str, tuple[str, ...]]  # `engine:model` by machine
    sizes: Mapping[str, int]  # bytes of each model, from the lock file

    @property
    def changing(self) -> tuple[str, ...]:
        """Return the machines that change, in the order of the answers."""
        fixed = repairing.changes(self.answers)
        return tuple(a.host for a in self.answers if a.host in fixed or a.host in self.wanted)


class There(NamedTuple):
    """What the source reports about itself."""

    home: str
    python: str  # the Python that runs cachedoctor


class Done(NamedTuple):
    """The name of the run, the state of each machine afterwards, and what went wrong on the way."""

    run: str
    answers: list[Answer]
    troubles: tuple[Answer, ...]


def plan(
    fleet: Fleet, means: Means, words: Sequence[str], source: str, lock: str, locked: Lock
) -> Plans:
    """Ask every machine what it lacks of a lock file, and what a fix would do there.

    `lock` is the text of what was `locked`: no machine can name anything outside it. Raises
    `UsageError` if no machine is called `source`, and `CannotLookError` if the source has no more
    than the others.
    """
    looked = asking.ask(fleet, means, "preflight", (), lock=lock)
    known = [answer.host for answer in looked]
    if source not in known:
        raise UsageError(f"no machine `{source}`{nearest(source, known)}")
    asked = {
        each.host: (*_words(words, each.host, source), "--dry-run")
        for each in looked
        if each.state.answered
    }
    if source not in asked:
        why = next(each.why for each in looked if each.host == source)
        raise CannotLookError(f"nothing can come from `{source}`: {why}")
    told = {each.host: each for each in asking.ask(fleet, means, "fix", asked, lock=lock)}
    answers = [told.get(each.host, each) for each in looked]
    before = {each.host: each for each in looked}
    sizes = {
        f"{model.engine}:{model.name}": sum(file.bytes for file in model.files.values())
        for model in locked.models
    }
    absent = {host: _absent(before[host], each, sizes) for host, each in told.items()}
    wanted = {host: tuple(rows) for host, rows in absent.items() if rows and host != source}
    never = absent.get(source, {}).keys() & {name for names in wanted.values() for name in names}
    if never:
        raise CannotLookError(f"`{source}` lacks it, too: {', '.join(sorted(never))}")
    shown = [
        _without_models(each, absent[each.host]) if each.host in wanted else each
        for each in answers
    ]
    return Plans(source, shown, wanted, sizes)


def apply(
    plans: Plans, fleet: Fleet, means: Means, words: Sequence[str], state: str, lock: str
) -> Done:
    """Do what was shown: first the source, then what each repairs itself, then what is missing.

    If the source cannot do its part, nothing is done elsewhere.
    """
    name = repairing.begin(fleet, means.tool, plans.changing, state)
    troubles: list[Answer] = []

    def note(answer: Answer) -> None:
        repairing.add(name, answer, state)
        if answer.state is not State.HEALTHY:
            troubles.append(answer)

    accepted = {
        host: [*_words(words, host, plans.source), *repairing.accepting(answer)]
        for host, answer in repairing.changes(plans.answers).items()
    }
    first = {host: more for host, more in accepted.items() if host == plans.source}
    rest = {host: more for host, more in accepted.items() if host != plans.source}
    for some in (first, rest):
        if some and not (some is rest and _failed(troubles, plans.source)):
            asking.ask(fleet, means, "fix", some, lock=lock, hear=note)
    if plans.wanted and not _failed(troubles, plans.source):
        troubles += hand_on(plans, fleet, means, note)
    return Done(name, asking.ask(fleet, means, "preflight", (), lock=lock), tuple(troubles))


def hand_on(
    plans: Plans, fleet: Fleet, means: Means, hear: Callable[[Answer], None]
) -> Iterator[Answer]:
    """Bring each model here once and send it to the machines without it; yield what failed."""
    (told,) = asking.ask(fleet, means, "info", {plans.source: ()})
    if told.state is not State.HEALTHY:
        yield told
        return
    said: Document = told.document or {}
    there = There(str(said["host"]["home"]), str(said["info"]["executable"]))
    for model, hosts in _by_model(plans.wanted):
        with tempfile.TemporaryDirectory(prefix="cachedoctor-pack-") as folder:
            path = os.path.join(folder, "pack")
            packed = fetch(fleet, means, plans.source, model, path, there)
            if packed.state is State.HEALTHY:
                unpack(fleet, means, hosts, model, path, hear)
            else:
                yield packed


def fetch(fleet: Fleet, means: Means, source: str, model: str, path: str, there: There) -> Answer:
    """Pack a model on `source` and bring the file here, with Ansible's `fetch`.

    That needs a Python, and a path that is the same for every login: what the machine said about
    itself is passed to Ansible as values that are never treated as a template.
    """
    marked = line.mark()
    packing = parcel.packing([model], tool=means.tool, marked=marked, deadline_s=means.deadline_s)
    where = {"src": "{{ cachedoctor_file }}", "dest": path, "flat": True}
    tasks = {
        "block": [
            {"name": "pack", "ansible.builtin.raw": "{{ cachedoctor_lines[inventory_hostname] }}"},
            {"name": "fetch", "ansible.builtin.fetch": where},
        ],
        "always": [{"name": "remove", "ansible.builtin.raw": parcel.removing(marked)}],
    }
    mine = {
        "ansible_python_interpreter": there.python,
        "cachedoctor_file": parcel.place(there.home, marked),
    }
    errand = carrier.Errand(lines={source: packing}, tasks=(tasks,), variables=mine)
    reply = carrier.carry(fleet, errand)[source]
    answer = judging.judge(reply, "pack", marked, fleet.timeout_s)
    if answer.state is State.HEALTHY:
        parcel.begin(path)
    return answer


def unpack(
    fleet: Fleet,
    means: Means,
    hosts: Sequence[str],
    model: str,
    path: str,
    hear: Callable[[Answer], None],
) -> None:
    """Send the file to each of `hosts`, and unpack the model there and nothing else."""
    marked = line.mark()
    words = parcel.unpacking(model, tool=means.tool, marked=marked, deadline_s=means.deadline_s)
    errand = carrier.Errand(lines=dict.fromkeys(hosts, words), script=path)

    def judged(reply: carrier.Reply) -> None:
        hear(judging.judge(reply, "unpack", marked, fleet.timeout_s))

    carrier.carry(fleet, errand, judged)


def _words(words: Sequence[str], host: str, source: str) -> tuple[str, ...]:
    """Return the words of a machine's fix: only the source may fetch."""
    local = host != source and _LOCAL not in words
    return (*words, _LOCAL) if local else tuple(words)


def _absent(before: Answer, planned: Answer, known: Collection[str]) -> dict[str, str]:
    """Return the models of the lock file that are entirely missing, each with its destination.

    Both answers of a machine must agree on that, so that nothing is sent where files cannot help;
    what its own plan fetches is not included.
    """
    verdicts = (before.document or {}).get("verdicts") or ()
    body = (planned.document or {}).get("plan") or {}
    gaps = {(f.get("path"), f.get("code")) for f in body.get("by_hand", ()) if not f.get("entries")}
    found = {}
    for each in verdicts:
        name, path = f"{each.get('engine')}:{each.get('model')}", each.get("path")
        if not each.get("ready") and (path, each.get("code")) in gaps and name in known:
            found[name] = str(path)
    return found


def _without_models(answer: Answer, absent: Mapping[str, str]) -> Answer:
    """Return a plan without the models that are unpacked instead."""
    document: Document = answer.document or {}
    body = document["plan"]
    places = absent.values()
    left = [f for f in body["by_hand"] if f.get("entries") or f.get("path") not in places]
    return answer._replace(document={**document, "plan": {**body, "by_hand": left}})


def _by_model(wanted: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, list[str]]]:
    for model in sorted({model for models in wanted.values() for model in models}):
        yield model, [host for host, models in wanted.items() if model in models]


def _failed(troubles: Sequence[Answer], host: str) -> bool:
    return any(answer.host == host for answer in troubles)
