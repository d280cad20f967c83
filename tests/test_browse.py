"""The screen with keys: nothing happens by itself, and its plans are those of the commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cachedoctor import demo
from cachedoctor.browse import commands, jobs
from cachedoctor.browse.forms import Form, Menu
from cachedoctor.browse.main_screen import Main
from cachedoctor.browse.pages import Details
from cachedoctor.browse.plan_screen import PlanScreen
from cachedoctor.browse.proposals import Proposal, Way
from cachedoctor.browse.sheet import Sheet
from cachedoctor.errors import CancelledError
from cachedoctor.findings import Finding
from cachedoctor.host import Host
from cachedoctor.manager import library
from cachedoctor.plans.holdings import Holding
from cachedoctor.system.network import Network
from cachedoctor.vocabulary import SILENT
from tests.conftest import fingerprint
from tests.support import worlds
from tests.support.browsing import Session, browse, state_of
from tests.support.command import cachedoctor
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cachedoctor.vocabulary import Progress

BASE = "Systran/faster-whisper-base"
SMALL = "Systran/faster-whisper-small"


@pytest.fixture
def mac(home: Path) -> Host:
    """Return a Mac's home with two hurt models, two whole ones, and one of no engine."""
    demo.build(str(home / "mac"))
    hub = worlds.hub_of(home / "mac")
    for name in (BASE, SMALL):
        worlds.repository(hub, name, worlds.whisper_files())
    return Host.look(home=str(home / "mac"), platform="darwin")


def test_nothing_is_marked_and_a_mark_does_nothing(mac: Host) -> None:
    """At the start, and after every key that only looks: no file is touched, no run is begun."""
    before = fingerprint_of(mac)

    async def steps(session: Session) -> None:
        assert session.table.marked == set()
        assert "nothing is marked" in session.text
        await session.keys("space", "down", "space")
        assert len(session.table.marked) == 2
        assert "2 marked: " in session.text
        for keys in (("a",), ("a",), ("s",), ("2",), ("3",), ("1",), ("tab",), ("r",), ("1",)):
            await session.keys(*keys)
            assert isinstance(session.app.screen, Main)
        await session.keys("slash", "t", "enter", "escape")
        await session.keys("enter", "down", "end", "escape")
        await session.keys("question_mark", "escape")
        assert isinstance(session.app.screen, Main)

    browse(mac, steps)
    assert (fingerprint_of(mac), state_of(mac)) == (before, [])


def fingerprint_of(host: Host) -> dict[str, tuple[object, ...]]:
    """Return what identifies every file of a home."""
    return fingerprint(Path(host.home))


@pytest.mark.parametrize("name", ["Main", "plan"])
def test_no_control_key_destroys(mac: Host, name: str) -> None:
    """Each of them, on the first screen and where a plan waits for its answer."""
    before = fingerprint_of(mac)

    async def steps(session: Session) -> None:
        if name == "plan":
            await session.go("whisper-base")
            await session.keys("d")
        for letter in "abdefghijklmnoprstuvwxyz":
            await session.pilot.press(f"ctrl+{letter}")
            await session.pilot.press("delete", "backspace")
        await session.settled()

    browse(mac, steps)
    assert (fingerprint_of(mac), state_of(mac)) == (before, [])


async def nothing(_session: Session) -> None:
    """Fill nothing in."""


def into(words: str, *, before: tuple[str, ...] = ()) -> Callable[[Session], Awaitable[None]]:
    """Return what types words into a form's field after these keys, and asks for the plan."""

    async def fill(session: Session) -> None:
        await session.keys(*before)
        await session.type(words)
        await session.keys("enter")

    return fill


async def ask(session: Session) -> None:
    """Ask for the plan of a form as it is."""
    await session.choose("Show the plan")


# What is typed into each command's form, and the words of the command that it must come to.
PLANS: dict[str, tuple[Callable[[Session], Awaitable[None]], tuple[str, ...]]] = {
    "fix": (nothing, ("fix",)),
    "fix everything": (nothing, ("fix",)),
    "fix waste": (nothing, ("fix", "--waste")),
    "remove": (nothing, ("remove", "BASE")),
    "prune": (into("1"), ("prune", "--keep-revisions", "1")),
    "free": (into("1KiB"), ("free", "1024")),
    "dedupe": (nothing, ("dedupe",)),
    "move": (into("AWAY"), ("move", "BASE", "AWAY")),
    "pull": (into("faster-whisper:medium"), ("pull", "faster-whisper:medium")),
    "pack": (into("STICK"), ("pack", "BASE", "-o", "STICK")),
    "unpack": (into("PACKED"), ("unpack", "PACKED")),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_the_commands_own(mac: Host, tmp_path: Path, name: str) -> None:
    """Line for line what the command that is named beneath it prints with `--dry-run`."""
    fill, wanted = PLANS[name]
    packed = str(tmp_path / "packed")
    with Hub() as hub:
        hub.add("Systran/faster-whisper-medium", worlds.whisper_files())
        host = Host.look(home=mac.home, platform="darwin", environment={"HF_ENDPOINT": hub.url})
        if name == "unpack":
            assert cachedoctor("pack", SMALL, "-o", packed, *options(host)).code == 0
            assert cachedoctor("remove", SMALL, "--yes", *options(host)).code == 0
        away = str(tmp_path / "away" / "models--Systran--faster-whisper-base")
        places = {"AWAY": away, "STICK": str(tmp_path / "stick"), "PACKED": packed}
        before, runs = fingerprint_of(host), state_of(host)

        async def steps(session: Session) -> None:
            places["BASE"] = await session.go("whisper-base")
            if name == "fix":
                await session.keys("2")
            command = commands.find(name)
            await session.keys(command.key)
            assert isinstance(session.app.screen, Form) is bool(command.fields)
            if command.fields:
                box = session.app.focused
                real = dict(places)
                await _filled(session, fill, real)
                assert box is not None
            await session.settled()
            assert isinstance(session.app.screen, PlanScreen), session.text
            assert session.focused == session.buttons[0] in ("Cancel", "Back")
            words = [places.get(word, word) for word in wanted]
            said = session.command
            assert said[: len(words)] == words or name == "fix", said
            verbose = ("-v",) if name in ("remove", "prune", "free", "dedupe") else ()
            ended = cachedoctor(*said, "--dry-run", *verbose)
            if name == "pack":
                assert ended.output.startswith(session.plan[-1].partition(", read")[0])
            else:
                assert free_room(session.plan) == free_room(ended.output.splitlines())
            await session.keys("enter")
            assert isinstance(session.app.screen, Main)

        browse(host, steps)
        assert (fingerprint_of(host), state_of(host)) == (before, runs)


async def _filled(
    session: Session, fill: Callable[[Session], Awaitable[None]], places: dict[str, str]
) -> None:
    """Fill a form in, with the names of places in place of their words."""
    kind = session.type

    async def typed(words: str) -> None:
        await kind(places.get(words, words))

    session.type = typed  # type: ignore[method-assign]
    await fill(session)


def options(host: Host) -> tuple[str, ...]:
    """Return the options that mean this home."""
    return ("--home", host.home, "--platform", "darwin")


def free_room(lines: list[str]) -> list[str]:
    """Return lines without what differs from moment to moment."""
    said = [re.sub(r"\d+\.\d [KMGT]iB free", "room", line.rstrip()) for line in lines]
    while said and not said[-1]:
        del said[-1]
    return said


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("prune", {"age": "30d", "caches": "yes"}, ("--older-than", "--compile-caches")),
        ("free", {"budget": "1KiB"}, ("--budget", "1024")),
        ("move", {"place": "yes", "no-link": "yes", "target": "AWAY"}, ("AWAY", "--no-link")),
        ("pull", {"models": "faster-whisper:base whisper.cpp:/no"}, ("whisper.cpp:/no",)),
        ("pull", {"lock": "LOCK"}, ("--lock", "LOCK")),
        ("unpack", {"folder": "PACKED", "for": "openai-whisper"}, ("--for", "openai-whisper")),
    ],
)
def test_what_a_form_says_reaches_the_plan(
    mac: Host, tmp_path: Path, name: str, values: dict[str, str], words: tuple[str, ...]
) -> None:
    """Each field; the command beneath the plan prints the same plan."""
    places = {each: str(tmp_path / each.lower()) for each in ("AWAY", "LOCK", "PACKED")}
    assert cachedoctor("pack", BASE, "-o", places["PACKED"], *options(mac)).code == 0
    assert cachedoctor("lock", "faster-whisper:base", "-o", places["LOCK"], *options(mac)).code == 0
    one = next(m for m in library.models(mac).models if "whisper-base" in m.id)
    given = {key: places.get(value, value) for key, value in values.items()}
    asked = commands.Asked(Network(mac, offline=True), (one,), given)
    proposal = commands.find(name).make(asked)(SILENT)
    said = shlex.split(proposal.command)[1:]
    assert set(said) >= {places.get(word, word) for word in words}
    offline = ("--offline",) if name == "pull" else ("-v",) if name in ("prune", "free") else ()
    printed = cachedoctor(*said, "--dry-run", *offline).output.splitlines()
    assert free_room(list(proposal.lines)) == free_room(printed)


def test_every_command_is_tried_here() -> None:
    """A command that is new has a plan to be compared, or a test of its own below."""
    alone = {"verify", "undo", "quarantine empty"}
    assert {command.name for command in commands.COMMANDS} == {*PLANS, *alone}
    keys = [command.key for command in commands.COMMANDS]
    assert len(set(keys)) == len(keys)


def test_a_model_goes_and_comes_back(mac: Host) -> None:
    """Removed, taken back, removed and deleted; each only after its plan and its button."""
    before = fingerprint_of(mac)

    async def steps(session: Session) -> None:
        key = await session.go("whisper-base")
        await session.keys("d")
        assert "Set 1 thing aside" in session.text
        await session.choose("Set aside")
        assert "✓ set aside" in session.text
        await session.keys("enter")
        assert key not in [row.key for row in session.table.every]
        await session.keys("u")
        await session.choose("Take it back")
        assert "everything is as it was before" in session.text
        await session.keys("escape")
        assert key in [row.key for row in session.table.every]
        assert fingerprint_of(mac) == before
        await session.go("whisper-base")
        await session.keys("d")
        await session.choose("Delete for good")
        assert session.focused == "Cancel"
        assert "for good?" in session.text
        await session.keys("enter")
        assert fingerprint_of(mac) == before
        await session.keys("d")
        await session.choose("Delete for good")
        await session.choose("Delete for good")
        assert "✓ deleted" in session.text

    browse(mac, steps)
    ids = [entry["id"] for entry in cachedoctor("list", "--json", *options(mac)).data["entries"]]
    assert not any("whisper-base" in each for each in ids)


def test_what_is_set_aside_is_emptied_after_two_questions(mac: Host) -> None:
    """From the third table; then it cannot be taken back any more, which is said."""

    async def steps(session: Session) -> None:
        await session.keys("e")
        await ask(session)
        assert "nothing is set aside" in session.text
        await session.keys("enter")
        await session.go("whisper-base")
        await session.keys("d")
        await session.choose("Set aside")
        await session.keys("enter", "3", "enter")
        assert "`u` takes it back" in session.text
        await session.keys("escape", "e")
        await ask(session)
        await session.choose("Delete for good")
        assert "no way back after that" in session.text
        await session.choose("Delete for good")
        assert "✓ freed" in session.text
        await session.keys("enter", "u")
        assert "no fix to take back" in session.text

    browse(mac, steps)


def test_a_fix_is_of_what_is_marked(mac: Host) -> None:
    """One finding alone; the models of one engine; everything."""

    async def steps(session: Session) -> None:
        await session.keys("2")
        await session.go("CD401")
        await session.keys("space", "f")
        assert [line for line in session.plan if "  CD" in line] == [session.plan[1]]
        assert "CD401" in session.plan[1]
        await session.keys("escape")
        await session.keys("space" if session.here.startswith("CD401") else "a", "a", "1")
        await session.go("Systran/faster-whisper-tiny.en@")
        await session.keys("f")
        assert session.plan[0].startswith("faster-whisper/tiny.en: 2 repairs")
        await session.choose("Repair")
        assert "✓ 2 repairs made" in session.text
        await session.keys("enter", "F")
        assert session.plan[0].startswith("fluidaudio/parakeet")
        await session.choose("Repair")
        assert "✓" in session.text

    browse(mac, steps)
    left = cachedoctor("scan", "--json", *options(mac)).codes
    assert left == ["CD502"]


def test_a_model_that_is_not_here_is_fetched(home: Path) -> None:
    """With its plan first, from a hub on this machine."""
    with Hub() as hub:
        hub.add(BASE, worlds.whisper_files())
        host = Host.look(environment={"HF_ENDPOINT": hub.url})

        async def steps(session: Session) -> None:
            assert "no models here" in session.text
            await session.keys("n")
            await session.type("faster-whisper:base")
            await session.keys("enter")
            assert "to download" in session.text
            await session.choose("Fetch")
            assert "ready   faster-whisper base" in session.text
            await session.keys("enter")
            assert len(session.table.every) == 1

        browse(host, steps)


def test_a_model_is_verified(mac: Host) -> None:
    """Every byte; what is damaged is a finding afterwards."""
    model = worlds.hub_of(Path(mac.home)) / "models--Systran--faster-whisper-base"
    worlds.flip(worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin"), 200)

    async def steps(session: Session) -> None:
        await session.go("whisper-base")
        await session.keys("v")
        assert "CD301" in session.text
        assert session.buttons == ["Back"]

    browse(mac, steps)


def test_the_cursor_stays_on_its_model(mac: Host) -> None:
    """After sorting, after a filter and its end, after another look, and on other tables."""

    async def steps(session: Session) -> None:
        key = await session.go("whisper-small")
        places = set()
        for _ in range(3):
            await session.keys("s")
            places.add(session.table.cursor_row)
            assert session.here == key
        assert len(places) > 1
        await session.keys("slash")
        await session.type("small")
        await session.keys("enter")
        assert [row.key for row in session.table.shown_rows] == [key]
        await session.keys("escape")
        assert session.here == key
        await session.keys("slash")
        await session.type("size<100B")  # which hides it
        await session.keys("enter")
        assert [row.key for row in session.table.shown_rows] != [key]
        assert session.here != key
        await session.keys("escape")
        assert session.here == key
        await session.keys("2", "down", "1", "r")
        assert session.here == key
        worlds.repository(worlds.hub_of(Path(mac.home)), "a/new", {"a.bin": bytes(50_000)})
        await session.keys("r")
        assert session.here == key

    browse(mac, steps)


def test_what_a_filter_hides_is_said_to_be_marked(mac: Host) -> None:
    """And a filter that means nothing is said to mean nothing, with the next words for it."""

    async def steps(session: Session) -> None:
        await session.go("whisper-small")
        await session.keys("space", "slash")
        await session.type("engine=fluidaudio")
        await session.keys("enter")
        assert "1 marked, 1 hidden by the filter" in session.text
        await session.keys("slash")
        await session.type("sizes>1")
        await session.keys("enter")
        assert "no filter `sizes`; did you mean `size`?" in session.text
        await session.keys("escape")
        assert "1 marked:" in session.text

    browse(mac, steps)


HOSTILE = (
    "[/x] y",
    "[bold]b[/bold]",
    "[@click=app.exit]here[/]",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "a\nb",
    "\u202egnp.exe",
    "\x9b31m",
    "<script>alert(1)</script>",
    "L" * 240,
    os.fsdecode(b"\xff\xfe"),
)


def test_hostile_names_are_shown_and_do_nothing(home: Path) -> None:
    """In tables, on pages, in plans, in forms; and the picture is well-formed."""
    folder = home / "[" / "x] [bold]" / "models"  # whose path closes what nobody opened
    folder.mkdir(parents=True)
    for name in HOSTILE:
        (folder / f"ggml-{name.replace('/', '_')}.bin").write_bytes(b"lmgg" + bytes(300))
    pictures: list[str] = []

    async def steps(session: Session) -> None:
        count = len(session.table.every)
        assert count >= len(HOSTILE) - 1
        for key in ("2", "1"):
            await session.keys(key)
            pictures.append(session.app.export_screenshot())
        for number in range(count):
            session.table.move_cursor(row=number)
            await session.keys(("enter", "d", "m")[number % 3])
            plain(session.text)
            pictures.append(session.app.export_screenshot())
            await session.keys("escape")
        await session.keys("2", "enter")
        plain(session.text)

    browse(Host.look(project=str(folder.parent)), steps)
    for picture in pictures:
        ET.fromstring(picture)
        plain(picture)


def plain(shown: str) -> None:
    """Fail where anything in a text would act, or cannot be written."""
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    shown.encode()


def test_markup_is_shown_as_it_is(home: Path) -> None:
    """Not taken for what it would be to the library that draws."""
    worlds.repository(worlds.hub_of(home), "some/[bold]x[]", {"a.bin": b"a" * 99})

    async def steps(session: Session) -> None:
        assert "some/[bold]x[]" in session.text
        await session.keys("d")
        assert "some/[bold]x[]" in session.text

    browse(Host.look(), steps, columns=120)


@pytest.mark.parametrize(
    "size",
    [(60, 12), *(pytest.param(size, marks=pytest.mark.heavy) for size in ((80, 24), (200, 50)))],
)
def test_it_fits(mac: Host, size: tuple[int, int]) -> None:
    """Every screen, in small and in large, and while it is made smaller."""

    async def steps(session: Session) -> None:
        for keys in ((), ("2",), ("3",), ("1", "enter"), ("escape", "m"), ("escape", "F")):
            await session.keys(*keys)
            lines = session.text.splitlines()
            assert len(lines) <= size[1]
            assert "q quit" in session.text or not isinstance(session.app.screen, Main)
        assert "Cancel" in session.text
        await session.pilot.resize_terminal(64, 14)
        await session.settled()
        assert "Cancel" in session.text
        await session.keys("escape")

    browse(mac, steps, columns=size[0], rows=size[1])


def test_the_cursor_and_marks_are_seen_without_colour(mac: Host) -> None:
    """Turned round, and a letter; a status is a sign."""

    async def steps(session: Session) -> None:
        await session.go("whisper-base")
        await session.keys("space", "up")
        strips = session.app.screen._compositor.render_strips()
        here = [s for s in strips if "base" in "".join(part.text for part in s)]
        assert len(here) == 1
        styles = [part.style for part in here[0] if part.text.strip()]
        assert all(style is not None and style.reverse for style in styles)
        row = next(line for line in session.text.splitlines() if " base " in line)
        assert row.strip().startswith("*")
        assert "✓" in row

    browse(mac, steps)


def test_help_lists_every_command_and_runs_it(mac: Host) -> None:
    """With its key, in 80 columns by 24 lines."""

    async def steps(session: Session) -> None:
        await session.keys("question_mark")
        for command in commands.COMMANDS:
            assert f"{command.key:<2} {command.name}" in session.text
        assert isinstance(session.app.screen, Menu)
        await session.keys("down", "enter")
        assert isinstance(session.app.screen, PlanScreen)
        assert session.command[0] == "fix"

    browse(mac, steps)


def test_details_say_what_would_break(home: Path) -> None:
    """Files with their evidence, who needs it, what it costs, and that a size has none then."""
    worlds.repository(worlds.hub_of(home), BASE, worlds.whisper_files())

    async def steps(session: Session) -> None:
        await session.keys("enter")
        assert isinstance(session.app.screen, Details)
        said = "\n".join(session.app.screen.query_one(Sheet).lines)
        assert "model.bin  (hub tree manifest" in said
        assert "base of faster-whisper" in said
        assert "  then  faster-whisper has no model for size base" in said
        await session.keys("d")
        assert isinstance(session.app.screen, PlanScreen)

    browse(Host.look(), steps)


def test_a_command_says_why_not(mac: Host) -> None:
    """Where it needs a model and there is none, or a value that means nothing."""

    async def steps(session: Session) -> None:
        await session.keys("3", "d")
        assert "select a model first" in session.text
        await session.keys("1", "a", "m")
        assert isinstance(session.app.screen, Main)
        await session.keys("a", "b")
        await session.type("much")
        await session.keys("enter")
        assert "not a size: `much` (write 20G" in session.text
        assert isinstance(session.app.screen, Form)
        await session.keys("escape", "p")
        await session.type("none")
        await session.keys("enter")
        assert "not a number of revisions: `none`" in session.text

    browse(mac, steps)


def endless(progress: Progress) -> Proposal:
    """Read for ever, until somebody gives up."""
    progress.start("reading", None)
    while True:
        progress.advance(1)


@pytest.mark.parametrize(
    "key", ["ctrl+c", *(pytest.param(key, marks=pytest.mark.heavy) for key in ("escape", "enter"))]
)
def test_long_work_is_stopped_and_the_screen_goes_on(mac: Host, key: str) -> None:
    """By the button, by escape, and by what stops every program; it does not end the screen.

    Who only waits for a plan is back at once; what changes something says what came of it.
    """
    way = Way("Do it", lambda progress: endless(progress).lines)
    made = Proposal("test", "", ("a plan",), "Do it?", (way,))

    async def steps(session: Session) -> None:
        session.app.push_screen(PlanScreen("verify", endless))
        await session.until(lambda: "Stop" in session.buttons and "reading" in session.text)
        await session.keys(key)
        assert isinstance(session.app.screen, Main)
        session.app.push_screen(PlanScreen("test", lambda progress: made))
        await session.settled()
        await session.pilot.press("tab", "enter")
        await session.until(lambda: "Stop" in session.buttons and "reading" in session.text)
        await session.keys(key)
        assert "✗ cancelled, as requested" in session.text
        await session.keys("enter")
        assert isinstance(session.app.screen, Main)

    browse(mac, steps)


def test_a_button_answers_one_question(mac: Host) -> None:
    """A key that is pressed twice does not answer the question that comes next."""
    done: list[str] = []

    def carry(progress: Progress) -> Sequence[str]:
        done.append("done")
        return ("✓",)

    way = Way("Do it", carry, "Sure?")

    async def steps(session: Session) -> None:
        made = Proposal("test", "", ("a plan",), "Do it?", (way,))
        session.app.push_screen(PlanScreen("test", lambda progress: made))
        await session.settled()
        await session.keys("right")
        assert session.focused == "Do it"
        await session.keys("enter", "enter")
        assert isinstance(session.app.screen, Main)

    browse(mac, steps)
    assert done == []


def test_what_turns_out_dearer_is_asked_about_again(mac: Host) -> None:
    """A way may come to another plan; it is shown, and the button that leaves it is first."""
    done = Way("Fetch", lambda progress: ("✓ fetched",))
    dearer = Proposal("fetch", "", ("twice as much",), "Fetch 2.0 GiB?", (done,))
    first = Proposal("fetch", "", ("a plan",), "Fetch 1.0 GiB?", (Way("Fetch", lambda p: dearer),))

    async def steps(session: Session) -> None:
        session.app.push_screen(PlanScreen("fetch", lambda progress: first))
        await session.settled()
        await session.choose("Fetch")
        assert "twice as much" in session.text
        assert session.focused == "Cancel"
        await session.choose("Fetch")
        assert "✓ fetched" in session.text

    browse(mac, steps)


def test_a_job_ends_when_asked() -> None:
    """What it was doing is told, what it raised comes where its result is asked for."""
    ended = threading.Event()
    job = jobs.Job(endless, ended.set)
    job.start()
    while job.moment is None or not job.moment.done_bytes:
        pass
    assert job.moment.doing == "reading"
    job.leave(10)
    assert ended.wait(10)
    with pytest.raises(CancelledError):
        _ = job.result


def test_only_the_screen_imports_what_draws_it() -> None:
    """No other command, nor the help of this one."""
    for words in (["--help"], ["browse", "--help"], ["list"]):
        script = (
            f"import sys; sys.argv = ['cachedoctor', *{words!r}]\n"
            "from cachedoctor.__main__ import main\n"
            "try: main()\n"
            "finally: print({'textual', 'rich'} & set(sys.modules), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert done.stderr.strip() == "set()", done.stderr


def test_what_is_chosen_is_a_model_or_a_finding(mac: Host) -> None:
    """Waste beside the models is a finding in the table of models, and no model to remove."""

    async def steps(session: Session) -> None:
        await session.go("CD502")
        assert isinstance(session.table.subjects[0], Finding)
        await session.keys("d")
        assert "this is not a model; use `f`" in session.text
        await session.keys("f")
        assert session.command[:2] == ["fix", "CD502"]
        await session.choose("Repair")
        await session.keys("enter")
        assert all(isinstance(row.subject, Holding) for row in session.table.every)

    browse(mac, steps)
