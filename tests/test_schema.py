"""What every command answers as JSON is what the schema says: no key more, none less, none other.

The published schema is open, so that it stays true when keys are added; here it is closed first.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
import functools
import json
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from cachedoctor import cli, findings, host, locators, vocabulary
from cachedoctor.bench.comparison import Change, Comparison
from cachedoctor.bench.outcome import LeftOut
from cachedoctor.doctor import bridge, core_ml
from cachedoctor.doctor.contents import FileVerdict
from cachedoctor.findings import LocalCopy, Need, Put, Repair, Safety
from cachedoctor.plans import changes
from cachedoctor.report import bench_text, inventory, manager_record, record, schema, verify_text
from cachedoctor.system.run import Run
from tests.support import worlds
from tests.support.command import cachedoctor
from tests.support.loopback import Hub
from tests.test_bench import result, row

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAD = "#/$defs/"
PARTS: dict[str, Any] = schema.whole()["$defs"]
NO_JSON = {"browse", "demo", "completion", "schema"}
LISTED = {  # keys of an entry that only `list` answers
    "own_exact", "last_used_by", "asked_s", "needed_by", "in_use_by",
}  # fmt: skip
OPTIONAL = {"path_bytes", "target", "sha256", "git-sha1", "run", "comparison", "name", "source"}
OPTIONAL |= LISTED | {"bytes"}  # of a step that clones
ROOM = {  # `docs/design.md` promises it, and today there is always one
    "#/$defs/readiness/model null",
    "#/$defs/readiness/path null",
    "#/$defs/verdict/model null",
    "#/$defs/verdict/path null",
    # which of the two depends on whether the installed wheel holds the bridges
    "#/$defs/facts/bridges[] null",
    "#/$defs/facts/bridges[] string",
}
WITHIN = ("origin", "head", "scan")  # definitions that others begin with, so closed only there


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a command said."""

    name: str
    said: str
    data: dict[str, Any]


class Machine:
    """A home with folders of its own, in which commands are run."""

    def __init__(self, folder: Path) -> None:
        """Make it."""
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.hub = worlds.hub_of(self.home)
        self.env = {
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }

    def asks(self, *words: str, **env: str) -> Answer:
        """Run a command; it is named by its first word, or two where it is below another."""
        ended = cachedoctor(*words, "--json", env={**self.env, **env})
        data = json.loads(ended.output)
        name = "-".join(words[:2]) if words[0] in ("quarantine", "fleet") else words[0]
        return Answer("error" if "error" in data else name, " ".join(words), data)


@pytest.fixture(scope="module")
def of_one(tmp_path_factory: pytest.TempPathFactory) -> list[Answer]:
    """Run every command on homes that are healthy, broken, odd, empty, and on mistakes."""

    def machine(name: str) -> Machine:
        return Machine(tmp_path_factory.mktemp(name))

    return [
        *broken(machine("broken")),
        *healthy(machine("healthy"), tmp_path_factory.mktemp("lock")),
        *odd(machine("odd")),
        *empty(machine("empty")),
        *values(machine("values")),
        *benches(machine("bench")),
        *managed(machine("managed"), tmp_path_factory.mktemp("stick")),
    ]


@pytest.fixture(scope="module")
def of_many(tmp_path_factory: pytest.TempPathFactory) -> list[Answer]:
    """Run every command of a fleet, each of which starts Ansible."""
    return list(fleets(Machine(tmp_path_factory.mktemp("fleet"))))


@pytest.fixture(params=["of_one", pytest.param("of_many", marks=pytest.mark.heavy)])
def answers(request: pytest.FixtureRequest) -> list[Answer]:
    """Return the answers of commands for one machine, then of those for many."""
    found: list[Answer] = request.getfixturevalue(request.param)
    return found


OF_MANY = {name for name in schema.names() if name.startswith("fleet-")}
OF_ONE = set(schema.names()) - OF_MANY


def those(answers: list[Answer]) -> set[str]:
    """Name the commands whose answers these must be: a fleet's, or all the others."""
    return OF_MANY if answers[0].name in OF_MANY else OF_ONE


def broken(here: Machine) -> Iterator[Answer]:
    """Yield scan, fix, undo and the rest on the home of the demo."""
    home = here.home / "mac"
    cachedoctor("demo", str(home))
    mac = ("--home", str(home), "--platform", "darwin", "--project", str(here.home))
    yield here.asks("scan", *mac)
    yield here.asks("verify", *mac)
    part = str(here.home / "part.json")
    cachedoctor("verify", *mac, "--subset", "1/1", "--save", part, env=here.env)
    yield here.asks("merge", part, *mac)
    yield here.asks("report", "-o", str(here.home / "page.html"), *mac)
    yield here.asks("preflight", "faster-whisper", "--model", "tiny.en", *mac)
    yield here.asks("preflight", "fluidaudio", "--size", "small", *mac)
    log = here.home / "log"
    log.write_text(
        "File model.bin is incomplete: failed to read a buffer of size 4 at position 8\n"
    )
    yield here.asks("diagnose", str(log), *mac)
    yield here.asks("fix", "--dry-run", *mac)
    yield here.asks("fix", "--yes", "--offline", *mac)
    yield here.asks("fix", "--waste", "--dry-run", *mac)
    yield here.asks("quarantine", "list", *mac)
    yield here.asks("undo", "--dry-run", *mac)
    yield here.asks("undo", *mac)
    yield here.asks("fix", "--yes", "--offline", *mac)
    yield here.asks("fix", "--waste", "--yes", "--offline", *mac)
    yield here.asks("quarantine", "empty", "--dry-run", *mac)
    yield here.asks("quarantine", "empty", "--yes", *mac)
    yield here.asks("where", "fluidaudio", *mac)
    yield from interrupted(here, mac)
    base = str(here.home.parent / "user")
    user = sysconfig.get_preferred_scheme("user")
    programs = Path(sysconfig.get_path("scripts", user, {"userbase": base}))
    programs.mkdir(parents=True)
    (programs / "whisperkit-bridge").touch(mode=0o755)
    asked = ("info", *mac, "--engine-version", "fluidaudio=0.13.2", "--env", "HF_HOME=/x")
    yield here.asks(*asked, PYTHONUSERBASE=base)


def interrupted(here: Machine, mac: tuple[str, ...]) -> Iterator[Answer]:
    """Yield fixes that were killed: one that cannot be finished, and one being taken back."""
    runs = here.home.parent / "state" / "cachedoctor" / "runs"
    for undoing in (False, True):
        origin = here.home / "origin"
        origin.write_text("x")
        need = Need("n", (LocalCopy((("", str(origin)),), "here"),), ())
        root = here.home / "mac" / "models"
        root.mkdir(exist_ok=True)
        step = Put("n", str(root / "n"))
        plan = Repair("t", Safety.SAFE, "test it", (need,), (step,), root=str(root))
        run = Run.create(str(runs.parent), (plan,), now=1.0, home=mac[1], roots=(str(here.home),))
        run.make_own(0, "staged", "0")
        if undoing:
            Path(run.staged_path(0, "n")).write_text("x")
            run.note_staged(0, "n", {})
            run.take(0)
            run.log({"undoing": True})
        origin.unlink()
        yield here.asks("fix", "CD502", "--dry-run", *mac)
        yield here.asks("fix", "CD502", "--yes", "--offline", "--delete", *mac)


def healthy(here: Machine, folder: Path) -> Iterator[Answer]:
    """Yield what asks for a model that is there, then for one whose bytes are wrong."""
    asked = ("faster-whisper", "--model", "tiny.en")
    lock = str(folder / "models.lock")
    model = worlds.repository(here.hub, worlds.TINY, worlds.whisper_files())
    worlds.repository(here.hub, worlds.TINY.removesuffix(".en"), worlds.whisper_files())
    yield here.asks("scan")
    yield here.asks("verify")
    yield here.asks("preflight", *asked)
    yield here.asks("lock", "faster-whisper:tiny.en", "-o", lock)
    yield here.asks("lock", "--check", lock)
    yield here.asks("preflight", "--lock", lock)
    yield here.asks("where", *asked)
    blob = worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin")
    worlds.flip(blob, blob.stat().st_size // 2)
    yield here.asks("verify")
    yield here.asks("scan", "--deep")
    yield here.asks("preflight", "--lock", lock)
    yield here.asks("fix", "--lock", lock)
    worlds.cut(blob, 100)
    yield here.asks("scan", "-v")
    with Hub() as hub:  # it knows nothing of this repository
        yield here.asks("verify", "--online", "--mirror", f"hub={hub.url}")
        yield here.asks("lock", "whisper.cpp:tiny.en", "--online", "--mirror", f"hub={hub.url}")
        yield here.asks("lock", "whisper-mps:tiny.en", "--online")


def odd(here: Machine) -> Iterator[Answer]:
    """Yield what has names that are no UTF-8, and references that say nothing."""
    here = Machine(Path(os.fsdecode(bytes(here.home) + b"/\xff")))
    worlds.repository(here.hub, os.fsdecode(b"some/\xff"), {"model.bin": b"x"})
    model = worlds.repository(here.hub, worlds.TINY, worlds.whisper_files())
    folder = os.fsencode(model / "snapshots" / worlds.COMMIT)
    os.symlink(b"../../blobs/gone", os.path.join(folder, b"\xff.bin"))
    (model / "blobs" / os.fsdecode(b"\xff\\udcff.incomplete")).touch()
    yield here.asks("scan", "--project", str(here.home), "--env", "HF_HUB_OFFLINE=y")
    (model / "refs" / "main").write_text("")
    yield here.asks("verify", "--project", str(here.home))
    yield here.asks("fix", "--dry-run")
    yield here.asks("fix", "--yes", "--offline")
    yield here.asks("fix", "--yes", "--waste", "--offline")
    yield here.asks("quarantine", "list")
    yield here.asks("preflight", "faster-whisper", "--model", "tiny.en")
    yield here.asks("where", "faster-whisper")
    yield here.asks("undo")
    yield here.asks("info")


def empty(here: Machine) -> Iterator[Answer]:
    """Yield what says no, or nothing, and what is refused."""
    for words in (
        ("scan", "faster-whisper", "--size", "tiny"),
        ("verify",),
        ("fix",),
        ("undo",),
        ("quarantine", "list"),
        ("quarantine", "empty"),
        ("preflight", "faster-whisper", "--size", "tiny"),
        ("fix", "faster-whisper", "--size", "tiny", "--offline"),
        ("where", "faster-whisper"),
        ("engines",),
        ("engines", "fluidaudio"),
        ("explain",),
        ("explain", "CD201"),
        ("info",),
        ("diagnose", os.devnull),
        ("where", "faster-whisper", "--size", "tiny"),
        ("scan", "faster-whispe"),
        ("scan", "--home", "/nowhere"),
        ("scan", "--nothing"),
        ("preflight",),
        ("lock", "faster-whisper:tiny"),
    ):
        yield here.asks(*words)


def values(here: Machine) -> Iterator[Answer]:
    """Give what this machine may not be able to show: a file that cannot be read."""
    (whole,) = [each for each in empty(here) if each.said == "verify"]
    file = FileVerdict("/x", (), (), 1, "unreadable", error="Permission denied")
    yield Answer("verify", "values", {**whole.data, "files": verify_text.files_json([file])})
    unasked = (core_ml.Unasked("whisperkit", "", "no"), core_ml.Unasked("fluidaudio", "/x", "no"))
    for asked in (
        core_ml.Asked(1, {"/x": "no"}, unasked),
        core_ml.Asked(alike="no", alike_count=2),
    ):
        scanned = here.asks("scan").data
        yield Answer("scan", "values", {**scanned, "core_ml": record.core_ml_json(asked)})
    facts = here.asks("info").data
    tests = {
        "whisperkit": inventory.health_json(bridge.Health("no")),
        "fluidaudio": inventory.health_json(bridge.Health("", "1", "2", linked=True)),
    }
    yield Answer("info", "values", {**facts, "info": {**facts["info"], "bridge_tests": tests}})


def benches(here: Machine) -> Iterator[Answer]:
    """Yield a benchmark in which nothing was ready, and what is made of numbers."""
    yield here.asks("bench", "--runs", "1")
    left = LeftOut("whisperkit", None, None, "what it said is wrong", "", "garbage")
    found = result(
        row("faster-whisper", 2.0, 1.5, wrong=None), row("whisper.cpp", 3.0), left=(left,)
    )
    slow = found.rows[1]._replace(peak_bytes=None, load_cold_s=2.0, revision=worlds.COMMIT)
    clip = found.clip._replace(words=None)
    settings = found.settings._replace(language=None)
    change = Change("faster-whisper", "tiny.en", 1.0, 2.0, 0.5)
    compared = Comparison("old.json", (change, change._replace(noise_s=None)), ("another clip",))
    whole = found._replace(rows=(found.rows[0], slow), clip=clip, settings=settings)
    for name, data in (
        ("rows", bench_text.bench_json(found)),
        ("compared", bench_text.bench_json(whole, compared)),
    ):
        body = json.loads(record.dumps({**record.head(host.Host.look()), "bench": data}))
        yield Answer("bench", name, body)


def managed(here: Machine, folder: Path) -> Iterator[Answer]:
    """Yield what lists, chooses, removes, carries and moves."""
    model, name = "faster-whisper:tiny", worlds.TINY.removesuffix(".en")
    repository = worlds.repository(here.hub, name, worlds.whisper_files())
    worlds.repository(here.hub, "some/one", {"model.bin": b"x"})
    (repository / "blobs" / f"{'5f' * 32}.1a2b3c4d.incomplete").write_bytes(b"half")
    place = here.home / "whisper.cpp" / "models" / "ggml-mine.bin"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"lmgg" + bytes(5 << 20))
    lock = str(folder / "models.lock")
    here.asks("preflight", "faster-whisper", "--size", "tiny")
    here.asks("lock", model, "-o", lock)
    yield here.asks("lock", "--register", lock)
    cachedoctor("ensure", model, "--", "true", env=here.env)
    with place.open("rb"):
        yield here.asks("list")
    yield here.asks("remove", model)
    yield here.asks("remove", model, "--kept")
    yield here.asks("remove", str(place), "--yes")
    yield here.asks("undo")
    yield here.asks("free", "1G", "--yes")
    yield here.asks("undo")
    yield here.asks("prune", "--yes")
    yield here.asks("lock", "--unregister", lock)
    yield here.asks("ensure", model)
    yield here.asks("pull", "whisper-mps:tiny", "--dry-run")
    yield here.asks("pack", model, "-o", str(folder))
    yield here.asks("unpack", str(folder))
    yield here.asks("remove", model, "--yes", "--delete")
    yield here.asks("unpack", str(folder), "--yes")
    shutil.copy(place, place.with_name("ggml-yours.bin"))
    yield here.asks("dedupe")
    yield here.asks("move", str(here.hub), str(here.home / "hub"), "--yes")
    (Path(here.env["XDG_STATE_HOME"]) / "cachedoctor" / "locks" / "x.lock").write_text("no")
    yield here.asks("list")
    clone = findings.Clone("/a", "/b", 1)
    repair = findings.Repair("share-blocks", findings.Safety.SAFE, "share", steps=(clone,))
    choice = changes.Choice("a", "/b", "the same bytes", 1, repair)
    change = changes.Change("dedupe", (choice,))
    body = manager_record.change_json(change, host.Host.look())
    done = {"ids": [], "aside_bytes": 0, "deleted": False, "freed_bytes": 1}
    yield Answer("dedupe", "cloned", json.loads(record.dumps({**body, "run": done})))


def lab(here: Machine) -> tuple[str, ...]:
    """Return the words for a fleet of this machine, beside which one is not asked."""
    inventory = here.home / "lab.ini"
    inventory.write_text(f"here ansible_connection=local\ngone ansible_host={os.devnull}\n")
    tool = f"{Path(sys.executable).parent}/cachedoctor"
    return ("-i", str(inventory), "--limit", "here", "--tool", tool)


def fleets(here: Machine) -> Iterator[Answer]:
    """Yield what a fleet of one machine says, which is this one."""
    given = lab(here)
    model = worlds.repository(here.hub, worlds.TINY, worlds.whisper_files())
    yield here.asks("fleet", "scan", "-i", given[1], "--tool", "/no/where")
    yield here.asks("fleet", "scan", *given)
    yield here.asks("fleet", "scan", *given, "faster-whispe")
    yield here.asks("fleet", "preflight", *given, "faster-whisper", "--size", "tiny")
    yield here.asks("fleet", "verify", *given)
    yield here.asks("fleet", "bench", *given, "--size", "large", "--runs", "1")
    lock = str(here.home / "fleet.lock")
    cachedoctor("lock", "faster-whisper:tiny.en", "-o", lock, env=here.env)
    yield here.asks("fleet", "fix", *given, "--from", "here", "--lock", lock)
    (model / "refs" / "main").write_text(worlds.COMMIT + "\n\n")
    yield here.asks("fleet", "fix", *given, "--offline")
    yield (done := here.asks("fleet", "fix", *given, "--offline", "--yes"))
    yield here.asks("fleet", "undo", done.data["run"])


@functools.cache
def closed(name: str) -> Draft202012Validator:
    """Return an answer's schema without room for anything that it does not name."""

    def close(part: Any, *, inside: bool = True) -> None:
        if isinstance(part, dict):
            if "properties" in part and part.get("type") == "object" and inside:
                part["unevaluatedProperties"] = False
            if examples := part.pop("examples", None):
                part["enum"] = examples + ([None] if "null" in part["type"] else [])
            for each in part.values():
                close(each)
        elif isinstance(part, list):
            for each in part:
                close(each)

    parts = copy.deepcopy(PARTS)
    for each, part in parts.items():
        close(part, inside=each not in WITHIN)
    for document in parts["machine"]["properties"]["document"]["anyOf"]:
        document["unevaluatedProperties"] = False  # it is a whole answer
    return Draft202012Validator(
        {"$ref": LEAD + name, "unevaluatedProperties": False, "$defs": parts}
    )


def test_the_schema_is_a_schema() -> None:
    """By its own metaschema; every definition is used, and has words about it and its keys."""
    used = {name for part in PARTS.values() for name in references(part)} | set(schema.names())
    assert used == set(PARTS)
    for name in schema.names():
        Draft202012Validator.check_schema(schema.of(name))
        assert set(schema.of(name)["$defs"]) <= set(PARTS)
    Draft202012Validator.check_schema(schema.whole())
    for name, part in PARTS.items():
        assert part["description"], name
        for key, value in properties(part):
            assert {"description", "const"} & value.keys(), (name, key)


def test_every_command_has_a_schema() -> None:
    """But those that answer nothing as JSON, which is held against their options."""
    context = cli.group.make_context("cachedoctor", [], resilient_parsing=True)
    wanted = {"error"}
    for name in cli.COMMANDS:
        command = cli.group.get_command(context, name)
        assert command is not None
        below = getattr(command, "commands", None) or {"": command}
        for inner, each in below.items():
            if any("--json" in option.opts for option in each.params):
                wanted.add(f"{name}-{inner}".rstrip("-"))
    assert set(schema.names()) == wanted
    assert wanted.isdisjoint(NO_JSON)


def test_what_is_answered_is_what_the_schema_says(answers: list[Answer]) -> None:
    """By the schema of that command as it is published, and as it is without room for more."""
    assert {answer.name for answer in answers} == those(answers)
    for answer in answers:
        wrong = best_match(closed(answer.name).iter_errors(answer.data))
        assert wrong is None, (answer.said, wrong.json_path, wrong.message[-300:])
        assert Draft202012Validator(schema.of(answer.name)).is_valid(answer.data)
        assert Draft202012Validator(schema.whole()).is_valid(answer.data)


def test_a_fleet_answers_as_the_schema_says(tmp_path: Path) -> None:
    """With whole answers of its machines inside; every command of a fleet is tried with `heavy`."""
    here = Machine(tmp_path / "one")
    answer = here.asks("fleet", "scan", *lab(here))
    wrong = best_match(closed("fleet-scan").iter_errors(answer.data))
    assert wrong is None, (wrong.json_path, wrong.message[-300:])
    (machine,) = answer.data["hosts"].values()
    assert machine["document"]["host"]["home"] == str(here.home)


def test_nothing_in_the_schema_is_invented(answers: list[Answer]) -> None:
    """Every key was answered at least once, and every type that a key may have."""
    seen: set[str] = set()
    for answer in answers:
        met(PARTS[answer.name], answer.data, f"{LEAD}{answer.name}", seen)
    wanted: set[str] = set()
    of_one = within(OF_ONE)
    for name in of_one if those(answers) == OF_ONE else PARTS.keys() - of_one:
        promised(PARTS[name], f"{LEAD}{name}", wanted)
    missing = sorted(wanted - seen - ROOM)
    assert not missing, "\n".join(missing)


def test_a_key_that_is_renamed_added_or_dropped_is_noticed(answers: list[Answer]) -> None:
    """Anywhere in an answer, but in maps whose keys are names of things."""
    shown: dict[str, Answer] = {}
    for answer in sorted(answers, key=lambda each: len(json.dumps(each.data))):
        shown[answer.name] = answer  # the longest of each
    for name, answer in shown.items():
        validator = closed(name)
        if len(json.dumps(answer.data)) > 20_000:  # two of each list say as much
            answer.data.update(json.loads(json.dumps(shortened(answer.data))))
        for change in altered(answer.data, PARTS[name]):
            assert not validator.is_valid(change), name
        assert validator.is_valid(answer.data)


def test_keys_and_values_may_be_added(of_one: list[Answer]) -> None:
    """What is published allows what a later version may say under the same number."""
    (answer,) = [each for each in of_one if each.said == "scan"]
    later = copy.deepcopy(answer.data)
    later["more"] = later["host"]["more"] = later["entries"][0]["more"] = 1
    later["entries"][0]["status"] = "asleep"
    assert Draft202012Validator(schema.of("scan")).is_valid(later)
    assert not closed("scan").is_valid(later)


def test_known_values_are_those_of_the_code() -> None:
    """What the schema gives as examples is what the enumerations and registries hold."""

    def known(part: str, key: str) -> set[str]:
        return set(PARTS[part]["properties"][key]["examples"])

    assert known("entry", "status") == {each.value for each in vocabulary.Status}
    assert known("finding", "severity") == {each.value for each in findings.Severity}
    assert known("rule", "severity") == known("finding", "severity")
    assert known("repair", "safety") == {each.value for each in findings.Safety}
    assert known("entry", "locator") == set(locators.names()) == known("finding", "locator")
    assert known("readiness", "size") == set(vocabulary.SIZES) == known("verdict", "size")
    steps = PARTS["plan"]["properties"]["steps"]["items"]["properties"]["step"]["examples"]
    assert set(steps) == {step.__name__ for step in findings.Step.__args__}
    assert {each.value for each in vocabulary.Evidence} <= known("file", "evidence")
    assert set(PARTS["head"]["properties"]["host"]["properties"]["platform"]["examples"]) == set(
        host.PLATFORMS
    )


def test_a_path_that_is_no_utf8_can_be_had_back(of_one: list[Answer]) -> None:
    """Shown with its bytes escaped, and whole beside it."""
    rows = [
        each
        for answer in of_one
        for each in (*answer.data.get("entries", ()), *answer.data.get("findings", ()))
        if "path_bytes" in each
    ]
    assert rows
    for each in rows:
        assert "\\xff" in each["path"]
        assert b"\xff" in base64.b64decode(each["path_bytes"])


def test_no_answer_has_half_a_character(answers: list[Answer]) -> None:
    """Readers of JSON refuse what is no UTF-8; a backslash and a character beyond stay whole."""
    for answer in answers:
        json.dumps(answer.data, ensure_ascii=False).encode()
    odd = "\\udcff \U0001f600 " + os.fsdecode(b"\xff\x80") + " \\"
    assert json.loads(record.dumps({"a": odd})) == {"a": "\\udcff \U0001f600 \\xff\\x80 \\"}


def test_schemas_are_printed() -> None:
    """One, or all; an unknown name is refused with the nearest."""
    assert cachedoctor("schema", "scan").data == schema.of("scan")
    assert cachedoctor("schema").data == schema.whole()
    refused = cachedoctor("schema", "scna")
    assert (refused.code, "did you mean `scan`" in refused.errors) == (2, True)


def references(part: Any) -> Iterator[str]:
    """Yield the definitions that a part refers to."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"].removeprefix(LEAD)
        part = list(part.values())
    for each in part if isinstance(part, list) else ():
        yield from references(each)


def within(names: set[str]) -> set[str]:
    """Return these definitions, and all that they are made of."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        found |= waiting
        waiting = {each for name in waiting for each in references(PARTS[name])} - found
    return found


def properties(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys that a part names, those of its own parts too."""
    if isinstance(part, dict):
        named = part.get("properties", {})
        yield from named.items() if "examples" not in named else ()
        part = list(part.values())
    for each in part if isinstance(part, list) else ():
        yield from properties(each)


def promised(part: dict[str, Any], where: str, found: set[str]) -> None:
    """Collect every key of a part, and every type of a key that has several."""
    for each in part.get("type", ()) if isinstance(part.get("type"), list) else ():
        found.add(f"{where} {each}")
    for key, value in part.get("properties", {}).items():
        found.add(f"{where}/{key}")
        promised(value, f"{where}/{key}", found)
    for key in ("items", "additionalProperties"):
        if isinstance(part.get(key), dict):
            promised(part[key], f"{where}[]", found)
    for each in part.get("anyOf", ()):
        if "$ref" in each or each.get("type") == "null":
            found.add(f"{where} {each.get('$ref', 'null')}")
        else:
            promised(each, where, found)


def met(part: dict[str, Any], value: Any, where: str, found: set[str]) -> None:
    """Collect those that a value has."""
    kinds = {type(None): "null", str: "string", int: "integer", float: "number", bool: "boolean"}
    kind = kinds.get(type(value), "")
    found |= {f"{where} {kind}", f"{where} number"} if kind == "integer" else {f"{where} {kind}"}
    if "$ref" in part:
        met(PARTS[part["$ref"].removeprefix(LEAD)], value, part["$ref"], found)
    for each in part.get("allOf", ()):
        met(each, value, where, found)
    for each in part.get("anyOf", ()):
        if Draft202012Validator({**each, "$defs": PARTS}).is_valid(value):
            found.add(f"{where} {each.get('$ref', 'null')}")
            met(each, value, where, found)
    if isinstance(value, dict):
        named = part.get("properties", {})
        for key, each in value.items():
            if key in named:
                found.add(f"{where}/{key}")
                met(named[key], each, f"{where}/{key}", found)
            elif isinstance(part.get("additionalProperties"), dict):
                met(part["additionalProperties"], each, f"{where}[]", found)
    for each in value if isinstance(value, list) else ():
        met(part.get("items", {}), each, f"{where}[]", found)


def shortened(value: Any) -> Any:
    """Return a value with two of each list, and two of each map of many names."""
    if isinstance(value, dict):
        return {key: shortened(each) for key, each in value.items()}
    return [shortened(each) for each in value[:2]] if isinstance(value, list) else value


def altered(value: Any, part: dict[str, Any]) -> Iterator[Any]:
    """Yield copies of an answer, in each of which one named key is gone, odd or another's."""
    keys: set[str] = set()
    collect(part, keys)

    def inner(each: Any) -> Iterator[Any]:
        if isinstance(each, dict):
            for key in each:
                if not is_map(each, keys):
                    rest = {name: value for name, value in each.items() if name != key}
                    yield {**rest, f"{key}x": each[key]}
                    if key not in OPTIONAL:
                        yield rest
                for changed in inner(each[key]):
                    yield {**each, key: changed}
            if each and not is_map(each, keys):
                yield {**each, "more": 1}
        elif isinstance(each, list):
            for position, one in enumerate(each[:2]):
                for changed in inner(one):
                    yield [*each[:position], changed, *each[position + 1 :]]

    yield from inner(value)


def is_map(value: dict[str, Any], keys: set[str]) -> bool:
    """Say whether the keys of an object are names of things."""
    return not value.keys() <= keys


def collect(part: Any, keys: set[str]) -> None:
    """Collect every key that a part and what it refers to may have."""
    keys.update(key for key, _ in properties(part))
    for name in within(set(references(part))):
        keys.update(key for key, _ in properties(PARTS[name]))
