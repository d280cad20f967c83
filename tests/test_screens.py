"""What a person sees: what is broken across lines and where, links, choices, wrong words."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cachedoctor import cli, demo, text
from cachedoctor.report.folding import Folding, Stacked, folded, joined
from tests.conftest import fingerprint
from tests.support import builders, builders_models, forking, worlds
from tests.support.command import cachedoctor
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_S = 60.0
LINK = re.compile(r"\x1b\]8;;([^\x1b]*)\x1b\\")


def at_terminal(
    *arguments: str,
    columns: int = 80,
    said: str = "",
    asked: str = "",
    then: Callable[[], object] = bool,
    env: dict[str, str] | None = None,
) -> tuple[int, str]:
    """Run a command at a terminal of its own, and return what was shown.

    What is `said` is typed once `asked` is shown, and again while nothing comes, which must end.
    `then` is called once, at the first time.
    """
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **(env or {})}
    python = {name: value for name, value in (env or {}).items() if name.startswith("PYTHON")}
    ended = forking.server(os.getpid(), **python).at_terminal(arguments, environment, child)
    os.close(child)
    shown, typed = b"", False
    limit = time.monotonic() + LONGEST_S
    while True:
        comes = select.select([parent], [], [], 2)[0]
        if time.monotonic() > limit:
            os.close(parent)  # which hangs up
            os.close(ended)
            pytest.fail(f"no end after {LONGEST_S:.0f} s; shown until then:\n{shown.decode()}")
        if not comes:
            if asked and typed:
                os.write(parent, said.encode())  # a key may be lost where modes are being changed
            continue
        try:
            read = os.read(parent, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not read:
            break
        shown += read
        if not typed and asked.encode() in shown:
            os.write(parent, said.encode())
            then()
            typed = True
    os.close(parent)
    with os.fdopen(ended) as told:
        assert select.select([told], [], [], LONGEST_S)[0], shown
        return int(told.read()), shown.decode().replace("\r\n", "\n")


@pytest.fixture
def mac(home: Path) -> tuple[str, ...]:
    """Make the demo's home; returns the options that name it."""
    demo.build(str(home / "mac"))
    return ("--home", str(home / "mac"), "--platform", "darwin")


def test_a_folding_line_breaks_between_words_only() -> None:
    """What is in backticks, a number with its unit, and a mark with its model stay whole."""
    line = Folding("  error   `a b c d e f` is 12.5 MiB, ! small  and `cachedoctor fix x`", 10)
    for width in range(8, 90):
        lines = folded(line, width)
        assert " ".join("".join(f"{each} " for each in lines).split()) == " ".join(line.split())
        for whole in ("`a b c d e f`", "12.5 MiB,", "! small", "`cachedoctor fix x`"):
            assert any(whole in each for each in lines), (width, whole, lines)
        assert all(each.startswith(" " * 10) for each in lines[1:])
    assert folded(line, None) == [line]
    assert folded("never " * 30, 20) == ["never " * 30]
    assert folded(Folding(f"x {joined('a path with blanks')}"), 10)[-1] == "a path with blanks"


def test_no_indentation_takes_a_narrow_terminal_for_itself() -> None:
    """Where a word would not fit; a row that is shown as several lines is broken like any."""
    line = Folding("   1  CD103  fetch `model.bin` from Systran/faster-whisper-base  138.5 MiB", 70)
    for width in range(40, 70):
        rest = folded(line, width)[1:]
        assert rest
        assert all(len(each) - len(each.lstrip()) <= width // 3 for each in rest)
    wide = len(line) - 1
    flush = " " * (wide - 9) + "138.5 MiB"
    assert folded(Folding(line, wide - 9), wide)[1:] == [flush]  # there is room for it
    below = Folding(" " * 39 + "whisper.cpp · ~/Library/Application Support · 74.1 MiB again", 39)
    row = Stacked("x" * 200, (Folding("74.1 MiB  tiny.en", 2), below))
    shown = folded(row, 60)
    assert shown[0] == "74.1 MiB  tiny.en"
    assert all(len(each) <= 60 and each.startswith(" " * 20) for each in shown[1:])
    assert folded(row, None) == ["x" * 200]


def test_a_pipe_breaks_nothing_and_a_terminal_no_command(mac: tuple[str, ...]) -> None:
    """The same words in both; each command is on one line."""
    piped = cachedoctor("scan", *mac).output
    code, shown = at_terminal("scan", *mac, "--color", "never")
    assert code == 1
    assert not any(line.startswith(" " * 10 + "there") for line in piped.splitlines())
    said = [re.sub(r"\d+ ms", "", " ".join(each.split())) for each in (piped, shown)]
    assert said[0] == said[1]
    for each in (piped, shown):
        for command in re.findall(r"`[^`]*`", each):
            assert "\n" not in command
    longest = [line for line in shown.splitlines() if len(line) > 80]
    assert all("`cachedoctor " in line or "~/" in line for line in longest)


def test_a_code_leads_to_its_page_at_a_terminal_only(mac: tuple[str, ...], tmp_path: Path) -> None:
    """To the site that the installed package names; nowhere where it names none."""
    named = tmp_path / "named"
    info = named / "model_cache_doctor-9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: model-cache-doctor\nVersion: 9.9\n"
        "Project-URL: Documentation, https://docs.example/en/\n"
    )
    env = {"PYTHONPATH": str(named)}
    _, shown = at_terminal("scan", *mac, env=env)
    links = {found for found in LINK.findall(shown) if found}
    assert "https://docs.example/en/rules.html#cd102-hollow-bundle" in links
    assert not LINK.search(cachedoctor("scan", *mac, "--color", "always", env=env).output)
    assert not LINK.search(at_terminal("scan", *mac, "--color", "never", env=env)[1])
    assert not LINK.search(at_terminal("scan", *mac, env={**env, "TERM": "dumb"})[1])


def test_a_fix_asks_which(mac: tuple[str, ...], home: Path) -> None:
    """None, some by number, what means nothing asks again, and all."""
    code, shown = at_terminal("fix", *mac, said="n\n")
    assert (code, "Apply these 7 repairs? [y, numbers such as 1,3-5, N]" in shown) == (1, True)
    code, shown = at_terminal("fix", *mac, said="9\n1-2\n")
    assert "answer y, numbers such as 1,3-5, n" in shown
    assert "2 repairs made" in shown
    left = cachedoctor("scan", *mac, "--json").codes
    assert "CD103" not in left
    assert "CD102" in left
    code, shown = at_terminal("fix", *mac, said="y\n")
    assert (code, "5 repairs made" in shown) == (0, True)


def test_a_fix_can_leave_downloads_out(mac: tuple[str, ...], home: Path) -> None:
    """Where some of a plan needs the network and some does not."""
    other = worlds.repository(
        worlds.hub_of(home / "mac"), "Systran/faster-whisper-base", worlds.whisper_files()
    )
    worlds.cut(worlds.blob_of(other / "snapshots" / worlds.COMMIT / "model.bin"), 60)
    code, shown = at_terminal("fix", *mac, said="l\n")
    assert "l = the 7 without a download" in shown
    assert "7 repairs made" in shown
    assert (code, cachedoctor("scan", *mac, "--json").codes.count("CD201")) == (0, 1)


def test_an_empty_home_has_a_next_step(home: Path) -> None:
    """Said with the options of the question; not where only one engine was asked about."""
    shown = cachedoctor("scan", "--home", str(home)).output
    assert f"`cachedoctor pull faster-whisper:small --home {home}" in shown
    assert "`cachedoctor demo`" in shown


@pytest.mark.parametrize("word", cli.MEANT)
def test_a_word_of_another_tool_leads_to_ours(word: str) -> None:
    """With what was said after it; the command that is named is there."""
    ended = cachedoctor(word, "my model")
    assert ended.code == 2
    assert f"`cachedoctor {cli.MEANT[word]} 'my model'`" in ended.errors
    assert cli.MEANT[word] in (*cli.COMMANDS, "--help")
    assert word not in (*cli.COMMANDS, *cli.SHORT)


def test_other_programs_repositories_are_named_when_asked(mac: tuple[str, ...]) -> None:
    """By name, size and place with `-v`; else counted."""
    name = "FluidInference/parakeet-tdt-0.6b-v3-coreml"
    assert f"    {name}" in cachedoctor("scan", *mac, "-v").output
    assert f"    {name}" not in cachedoctor("scan", *mac).output


def test_help_says_what_is_particular_first_and_the_rest_once() -> None:
    """A command's own options before one row for those of all; these are in the whole's help."""
    shown = cachedoctor("scan", "--help").output
    assert shown.index("--deep") < shown.index("--home, --platform")
    assert "owner's variables" not in shown
    whole = cachedoctor("--help").output
    for option in ("--home DIR", "--platform [", "--env NAME", "--project DIR", "--color ["):
        assert whole.count(option) == 1, option


def test_the_demo_leaves_nothing_and_is_short(tmp_path: Path) -> None:
    """Without a folder it is gone at the end; with one it can be made alone."""
    env = {"TMPDIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    shown = cachedoctor("demo", env=env)
    assert (shown.code, shown.output.count("\n") < 80) == (0, True)
    assert not list(tmp_path.glob("cachedoctor-demo-*"))
    assert not (tmp_path / "state").exists()
    made = cachedoctor("demo", str(tmp_path / "mine"), "--only-make")
    assert (made.code, made.output.count("\n")) == (0, 1)
    assert (tmp_path / "mine" / ".cache").is_dir()
    assert cachedoctor("demo", "--only-make").code == 2
    assert cachedoctor("demo", str(tmp_path / "mine")).code == 2


def test_a_model_is_looked_for_in_the_engines_that_have_it(home: Path) -> None:
    """Without an engine; a name that none has is refused."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    found = cachedoctor("scan", "--model", "tiny.en", "--json")
    assert [entry["model"] for entry in found.data["entries"]] == ["tiny.en"]
    refused = cachedoctor("scan", "--model", "tinny.en")
    assert (refused.code, "no engine has a model `tinny.en`" in refused.errors) == (2, True)


def test_a_verify_that_could_check_nothing_says_so(home: Path) -> None:
    """And is silent where something was proven."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    assert "nothing could be checked" not in cachedoctor("verify").errors
    folder = home / "models"
    folder.mkdir()
    (folder / "ggml-mine.bin").write_bytes(builders_models.ggml_whisper())
    warned = cachedoctor("verify", str(folder))
    assert warned.code == 0
    assert "1 unknown" in warned.output
    assert "nothing could be checked" in warned.errors
    assert "`cachedoctor verify" in warned.errors
    assert "nothing could be checked" not in cachedoctor("verify", str(folder), "-q").errors


def test_a_merge_conflict_is_named(home: Path, tmp_path: Path) -> None:
    """With its lines and both sides."""
    lock = tmp_path / "models.lock"
    lock.write_text("version = 1\n<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> feature/new\n")
    ended = cachedoctor("lock", "--check", str(lock))
    assert ended.code == 2
    assert "holds a merge conflict in lines 2 to 6: `HEAD` against `feature/new`" in ended.errors
    lock.write_text("version = [\n")
    assert "merge conflict" not in cachedoctor("lock", "--check", str(lock)).errors


def test_ctrl_c_says_what_is_safe_and_what_goes_on(home: Path) -> None:
    """Of a look: nothing was changed. Of a fix that fetches: how it goes on."""
    from tests.support.loopback import Hub

    model = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin").unlink()
    with Hub() as hub:
        hub.add(worlds.TINY, worlds.whisper_files(), commit=worlds.COMMIT)
        held = hub.hold("model.bin", 10)
        process = subprocess.Popen(
            [sys.executable, "-m", "cachedoctor", "fix", "--yes", "--mirror", f"hub={hub.url}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert held.reached.wait(60)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        hub.heal()
    assert process.returncode == 130
    assert b"`cachedoctor fix` continues" in errors
    assert b"`cachedoctor undo` takes it back" in errors


@pytest.mark.parametrize("columns", [80, 120])
def test_a_list_fits_its_terminal(mac: tuple[str, ...], columns: int) -> None:
    """Two lines a model where one is too wide; a pipe has the table."""
    code, shown = at_terminal("list", *mac, columns=columns)
    table = shown.partition("\n\n")[0].splitlines()
    assert code == 0
    assert max(map(len, table)) <= columns
    piped = cachedoctor("list", *mac).output.partition("\n\n")[0].splitlines()
    assert len(table) == len(piped) * (2 if columns < max(map(len, piped)) else 1)
    assert "needed by" in table[columns == 80]


def test_what_only_shows_a_plan_asks_nothing(mac: tuple[str, ...]) -> None:
    """With `--dry-run`, and where there is nothing to do; an answer would be for nobody."""
    for words in (
        ("prune", "--dry-run"),
        ("free", "1G", "--dry-run"),
        ("dedupe",),
        ("remove", worlds.TINY, "--dry-run"),
        ("fix", "--dry-run"),
        ("prune", "--home", "/nowhere-at-all", "--dry-run"),
    ):
        _, shown = at_terminal(*words, *(mac if "--home" not in words else ()), said="n\n")
        assert "[y/N" not in shown, words


def test_a_size_has_one_unit() -> None:
    """Also next to the border of two units."""
    assert text.size((1 << 30) - 1) == "1.0 GiB"
    assert text.size((1 << 20) - 1) == "1.0 MiB"
    assert text.size(1023) == "1023 B"
    for power in (10, 20, 30, 40):
        for off in (-60_000, -1, 0, 1):
            assert "1024.0" not in text.size((1 << power) + off)


def test_a_question_comes_before_the_network(home: Path) -> None:
    """The table tells the cost; refused, nobody was asked for anything."""
    with Hub() as hub:
        hub.add(worlds.TINY, dict(worlds.whisper_files()), commit=worlds.COMMIT)
        words = ("faster-whisper:tiny.en", "--mirror", f"hub={hub.url}")
        for verb in ("pull", "ensure"):
            code, shown = at_terminal(verb, *words, said="n\n")
            assert (code, hub.requests) == (1, []), shown
            assert "Fetch 74.5 MiB?" in shown
        code, shown = at_terminal("pull", *words, said="y\n")
        assert (code, bool(hub.requests)) == (0, True), shown


def test_a_download_that_has_grown_is_asked_about_again(home: Path) -> None:
    """`--max-download` holds for what the hub lists, too."""
    with Hub() as hub:
        large = {**worlds.whisper_files(), "model.bin": bytes(90 << 20)}
        hub.add(worlds.TINY, large, commit=worlds.COMMIT)
        words = ("pull", "faster-whisper:tiny.en", "--mirror", f"hub={hub.url}")
        code, shown = at_terminal(*words, said="y\nn\n")
        assert (code, "The hub now lists 90.0 MiB" in shown) == (1, True), shown
        ended = cachedoctor(*words, "--max-download", "80M")
        assert (ended.code, "more than 80.0 MiB" in ended.errors) == (1, True)
        assert not (worlds.hub_of(home) / "models--Systran--faster-whisper-tiny.en").exists()


def test_what_cannot_be_had_offline_is_no_plan(home: Path) -> None:
    """A dry run ends as the run would."""
    words = ("pull", "faster-whisper:tiny.en", "--offline")
    assert cachedoctor(*words, "--dry-run").code == cachedoctor(*words, "--yes").code == 1


@pytest.mark.parametrize("columns", [80, 100])
def test_help_breaks_no_command_and_no_option(columns: int) -> None:
    """Whatever is pasted from a help page is in one piece."""
    for name in ((), *((name,) for name in cli.COMMANDS), ("fleet", "fix")):
        shown = cachedoctor(*name, "--help", env={"COLUMNS": str(columns)}).output
        assert "\u00a0" not in shown
        assert "\u2011" not in shown
        for line in shown.splitlines():
            assert line.count("`") % 2 == 0, (name, line)
            assert not re.search(r"--[a-z-]+-$", line), (name, line)


@pytest.mark.parametrize("columns", [60, 80])
def test_progress_names_the_file_and_its_model(home: Path, columns: int) -> None:
    """Which of how many, how much of how much; one line, and gone at the end."""
    with Hub() as hub:
        weights = builders.ctranslate2_model() + bytes(3 << 20)
        files = {**worlds.whisper_files(), "model.bin": weights}
        hub.add(worlds.TINY, files, commit=worlds.COMMIT)
        held = hub.hold("/model.bin", 1 << 20)
        words = ("pull", "faster-whisper:tiny.en", "--yes", "--mirror", f"hub={hub.url}")
        _, shown = at_terminal(*words, columns=columns, asked="of 3.0 MiB", then=held.set)
    bars = [line for line in re.split(r"[\r\n]", shown) if "fetching model.bin" in line]
    assert any(re.search(r"\d of 4  fetching", line) for line in bars), bars
    assert any(re.search(r"[\d.]+ of 3\.0 MiB", line) for line in bars), bars
    assert all(len(line) <= columns for line in bars), bars
    assert columns < 80 or all("model.bin of faster-whisper-tiny.en" in line for line in bars)


def test_the_question_of_a_fix_is_left_with_ctrl_c(mac: tuple[str, ...]) -> None:
    """Nothing was changed, and it says so; the exit code is that of Ctrl-C."""
    before = fingerprint(Path(mac[1]))
    code, shown = at_terminal("fix", *mac, said="\x03", asked="Apply these")
    assert code == 130
    assert "Apply these" in shown
    assert "nothing was changed" in shown
    assert fingerprint(Path(mac[1])) == before


def test_the_counting_line_says_which_repairs_fetch(home: Path) -> None:
    """All of them, one of two, or none."""
    snapshot = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    blob = worlds.blob_of(snapshot / "snapshots" / worlds.COMMIT / "model.bin")
    blob.write_bytes(blob.read_bytes()[:-1])
    assert "; 1 can be repaired by fetching 406 B" in cachedoctor("scan").output
    (snapshot / "refs" / "main").write_text(f"{worlds.COMMIT}\n")
    assert "; 2 can be repaired, 1 of them by fetching 406 B" in cachedoctor("scan").output
    blob.write_bytes(worlds.whisper_files()["model.bin"])
    assert "; 1 can be repaired without a download" in cachedoctor("scan").output
