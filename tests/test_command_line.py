"""What a person meets: bad names, bad homes, odd caches, interruptions. Never a traceback."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import pty
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cachedoctor as package
from cachedoctor import cli, demo, engines, locators, rules
from tests.conftest import fingerprint
from tests.support import builders, worlds
from tests.support.command import Ended, cachedoctor, scan

NOBODY = 65534
NEEDS_FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("scan", "fluidaudoi"), "did you mean `fluidaudio`"),
        (("scan", "faster-whisper", "--size", "smal"), "did you mean `small`"),
        (("preflight", "faster-whisper", "--model", "tiny.em"), "`tiny.en`"),
        (("preflight", "faster-whisper"), "name either a size or a model"),
        (("fix", "CD999"), "no code `CD999`"),
        (("fix", "--size", "tiny"), "exactly one engine"),
        (("explain", "truncate"), "did you mean `truncated`"),
        (("undo", "20200101-000000"), "no fix"),
        (("scna",), "did you mean `scan`"),
        (("scan", "faster-wisper"), "did you mean `faster-whisper`?"),
        (("scan", "--home", ""), "the home is empty"),
        (("scan", "--project", ""), "the project is empty"),
        (("scan", "--engine-version", "fluidaudio=new"), "no version number"),
        (("scan", "--engine-version", "fluidaudoi=1.0"), "did you mean `fluidaudio`"),
        (("scan", "--env", "NAME"), "NAME=VALUE"),
        (("fix", "--mirror", "hf=http://x"), "no source `hf`"),
        (("demo", "."), "exists already"),
    ],
    ids=str,
)
def test_unknown_names_are_usage_errors_with_the_nearest(
    arguments: tuple[str, ...], words: str
) -> None:
    """Exit code 2, one line that names the thing, and what was probably meant."""
    ended = cachedoctor(*arguments)
    assert (ended.code, ended.output) == (2, "")
    assert words in ended.errors


def test_a_home_that_cannot_be_looked_at_is_exit_3(tmp_path: Path) -> None:
    """A named home or project that is missing or a file is told in one line."""
    (tmp_path / "file").touch()
    for option in ("--home", "--project"):
        for name in ("nowhere", "file"):
            ended = cachedoctor("scan", option, str(tmp_path / name))
            assert (ended.code, ended.output) == (3, "")
            assert str(tmp_path / name) in ended.errors


def test_an_empty_machine_is_healthy() -> None:
    """Without any cache the exit code is 0 and one line says so."""
    ended = cachedoctor("scan")
    assert ended.code == 0
    assert "no known engine has a cache here" in ended.output
    assert cachedoctor("fix").code == 0
    assert cachedoctor("undo").output == "no fix to take back\n"
    assert cachedoctor("quarantine", "list").output == "nothing is set aside\n"


def test_a_file_where_the_hub_belongs_is_a_finding(home: Path) -> None:
    """A root that is a file is reported, not tripped over."""
    worlds.hub_of(home).parent.mkdir(parents=True)
    worlds.hub_of(home).touch()
    ended = scan()
    assert (ended.code, ended.codes) == (1, ["CD108"])


def test_an_empty_variable_is_the_current_folder(tmp_path: Path) -> None:
    """`HF_HUB_CACHE=""` makes the current folder the hub cache, and that is where we look."""
    worlds.repository(tmp_path / "cwd", worlds.TINY, worlds.whisper_files())
    found = scan("--env", "HF_HUB_CACHE=")
    assert [entry["model"] for entry in found.data["entries"]] == ["tiny.en"]


@pytest.mark.parametrize("rest", ["/x" * 3000, "/" + "x" * 300, "/x" * 1500 + "/.." * 1500])
def test_a_path_too_long_for_the_system_is_absent(home: Path, rest: str) -> None:
    """The engine finds nothing there either."""
    ended = cachedoctor(
        "preflight", "faster-whisper", "--size", "tiny", env={"HF_HUB_CACHE": f"{home}{rest}"}
    )
    assert ended.code == 1
    assert ended.output.startswith("absent")


def test_a_relative_home_is_shown_whole(home: Path) -> None:
    """In data every path is absolute, and engines look below the current folder."""
    data = cachedoctor("scan", "--json", env={"HOME": "nowhere"}).data
    assert data["host"]["home"] == os.path.abspath("nowhere")


def test_a_relative_home_is_not_where_pywhispercpp_looks(home: Path) -> None:
    """Its platformdirs takes the home of the list of users instead."""
    words = ("where", "whisper.cpp", "--json")
    listed = pwd.getpwuid(os.getuid()).pw_dir
    for relative in ("nowhere", ""):
        asked = cachedoctor("preflight", "whisper.cpp", "--size", "tiny", "--json",
                            env={"HOME": relative, "XDG_DATA_HOME": ""})  # fmt: skip
        assert asked.data["verdict"]["path"].startswith(f"{listed}/.local/share/pywhispercpp")
    told = cachedoctor(*words, env={"XDG_DATA_HOME": ""}).output
    assert f"{home}/.local/share/pywhispercpp" in told


def test_names_that_are_no_utf8_and_terminal_escapes_are_shown_safely(home: Path) -> None:
    """Undecodable and control bytes are escaped in text, and whole in JSON."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    folder = os.fsencode(repository / "snapshots" / worlds.COMMIT)
    os.symlink(b"../../blobs/gone", os.path.join(folder, b"bad\xff\x1b[31m\n.bin"))
    data = scan().data
    (finding,) = data["findings"]
    assert finding["code"] == "CD103"
    text = cachedoctor("scan").output
    assert "\x1b" not in text
    assert "bad\\xff\\x1b[31m\\x0a.bin" in text


def test_a_terminal_without_tick_marks_shows_the_rest(home: Path) -> None:
    """Where the output's encoding lacks a character, it is escaped; nothing is tripped over."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    for encoding in ("ascii", "latin-1"):
        shown = cachedoctor("scan", env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
        assert shown.code == 0
        assert "faster-whisper" in shown.output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [("scan", 0), ("preflight faster-whisper --size tiny --json", 1), ("diagnose -", 1)],
)
def test_closed_streams_change_no_answer(home: Path, arguments: str, code: int) -> None:
    """`cachedoctor … >&- 2>&- <&-`, as daemons and cron start programs."""
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        done = _in_shell(home, f"{arguments} {closed}")
        assert done.returncode == code, (closed, done)
        assert "Traceback" not in done.stderr


@NEEDS_FULL
@pytest.mark.parametrize(
    ("arguments", "code"),
    [("scan", 1), ("scan --json", 1), ("--help", 1), ("schema scan", 1), ("scan nobody --json", 2)],
)
def test_an_answer_that_cannot_be_written_is_no_yes(home: Path, arguments: str, code: int) -> None:
    """One line says so, and the exit code is one of ours."""
    done = _in_shell(home, f"{arguments} > /dev/full")
    assert done.returncode == code
    told = "the answer could not be written: No space left on device" if code == 1 else "no engine"
    assert told in done.stderr.partition("\n")[0]
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr


def _in_shell(home: Path, words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'"$0" -m cachedoctor {words}', sys.executable],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(home)},
        check=False,
    )


def test_somebodys_own_checkpoint_in_a_project_is_let_be(tmp_path: Path) -> None:
    """A whole `base.pt` of another length in a project's models is nobody's business."""
    models = tmp_path / "cwd" / "models"
    models.mkdir()
    (models / "base.pt").write_bytes(builders.torch_zip_file())
    found = scan("--fail-on", "note")
    assert (found.code, found.codes) == (0, [])
    assert found.data["entries"][0]["engines"] == []


def test_a_broken_usual_place_is_not_hidden_by_the_project(home: Path, tmp_path: Path) -> None:
    """The engine looks in its own folder first, so that is what counts."""
    models = tmp_path / "cwd" / "models"
    worlds.repository(models, worlds.TINY, worlds.whisper_files())
    ready = ("preflight", "faster-whisper", "--model", "tiny.en")
    assert cachedoctor(*ready).code == 0
    usual = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    worlds.cut(worlds.blob_of(usual / "snapshots" / worlds.COMMIT / "model.bin"), 30)
    assert cachedoctor(*ready).code == 1


def test_a_hundred_gigabytes_are_read_in_no_time(home: Path) -> None:
    """A sparse file of 100 GB is judged from its header and offsets."""
    folder = home / ".cache" / "whisper"
    folder.mkdir(parents=True)
    (folder / "large-v3.pt").touch()
    os.truncate(folder / "large-v3.pt", 100 << 30)
    began = time.monotonic()
    assert scan().codes == ["CD202"]
    assert time.monotonic() - began < 5


def test_unreadable_is_not_corrupt() -> None:
    """As an ordinary user, what cannot be read is CD108, and nothing is set aside for it."""
    home = Path("/var/tmp") / f"cachedoctor-test-{os.getpid()}"
    try:
        repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
        if os.geteuid() == 0:
            for base, folders, files in os.walk(home):
                for name in [".", *folders, *files]:
                    os.chown(Path(base, name), NOBODY, NOBODY, follow_symlinks=False)
        blob = worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "model.bin")
        blob.chmod(0)
        ended = as_nobody(home, "scan", "--json")
        assert (ended.code, ended.codes) == (1, ["CD108"])
        assert ended.data["entries"][0]["status"] == "unknown"
        assert ended.data["findings"][0]["repair"]["safety"] == "manual"
        fixed = as_nobody(home, "fix", "--yes")
        assert fixed.code == 1
        assert "chmod" in fixed.output
        blob.chmod(0o644)
        (repository / "snapshots").chmod(0)
        assert as_nobody(home, "scan", "--json").codes == ["CD108"]
        (repository / "snapshots").chmod(0o755)
        worlds.hub_of(home).chmod(0)
        assert as_nobody(home, "scan", "--json").codes == ["CD108"]
    finally:
        shutil.rmtree(home)


def test_a_closed_folder_of_a_model_is_unknown() -> None:
    """Nothing is said to be missing in a folder that cannot be listed, and it is not ready."""
    home = Path("/var/tmp") / f"cachedoctor-test-{os.getpid()}"
    folders = [
        home / "Library/Application Support/FluidAudio/Models/parakeet-tdt-0.6b-v3",
        home / "Documents/huggingface/models/argmaxinc/whisperkit-coreml",
        home / "Documents/huggingface/models/openai",
        home / ".cache/whisper",
    ]
    try:
        for folder in folders:
            folder.mkdir(parents=True)
            folder.chmod(0)
            if os.geteuid() == 0:
                os.chown(folder, NOBODY, NOBODY)
        os.chown(home, NOBODY, NOBODY)
        ended = as_nobody(home, "scan", "--json", "--home", str(home), "--platform", "darwin")
        assert set(ended.codes) == {"CD108"}
        assert {finding["severity"] for finding in ended.data["findings"]} == {"error"}
        assert {entry["status"] for entry in ended.data["entries"]} == {"unknown"}
    finally:
        for folder in folders:
            folder.chmod(0o755)
        shutil.rmtree(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_user_without_a_name_and_a_home_is_answered(tmp_path: Path) -> None:
    """As containers run: a number that no list of users has, `HOME` unset or not there."""
    nameless = 54321
    tmp_path.chmod(0o755)
    for variables in ({}, {"HOME": "/nonexistent"}):
        for arguments, code in (("scan", 0), ("preflight faster-whisper --size tiny", 1)):
            ended = as_nobody(tmp_path, *arguments.split(), uid=nameless, variables=variables)
            assert ended.code == code, ended
    assert cachedoctor("info", env={"HOME": "/nonexistent"}).code == 0
    ended = as_nobody(
        tmp_path,
        *("pull", "faster-whisper:tiny", "--offline"),
        uid=nameless,
        variables={"HOME": "/nonexistent"},
    )
    assert ended.code == 1
    assert "left to you CD101" in ended.output
    made = "/nonexistent/.cache/huggingface/hub"
    assert f"`sudo install -d -o {nameless} {made}`" in ended.output


def as_nobody(
    home: Path, *arguments: str, uid: int = NOBODY, variables: dict[str, str] | None = None
) -> Ended:
    """Run a command as an ordinary user, in a fork that has imported all it may need.

    An ordinary user may not be able to read this interpreter's own files.
    """
    assert locators.names()
    assert rules.every()
    for engine in engines.names():
        assert engines.find(engine).table.models
    for module in pkgutil.walk_packages(package.__path__, "cachedoctor."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    output = home.parent / f"{home.name}.output"
    child = os.fork()
    if child == 0:
        sys.stdout = output.open("w")
        if os.geteuid() == 0:
            os.setgid(NOBODY)
            os.setuid(uid)
        if variables is None:
            own = {name: str(home / name.lower()) for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME")}
            os.environ.update(HOME=str(home), **own)
        else:
            os.environ.clear()
            os.environ.update(variables)
        os.chdir("/")
        sys.argv = ["cachedoctor", *arguments]
        code = 70
        try:
            cli.main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        finally:
            sys.stdout.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    text = output.read_text()
    output.unlink()
    return Ended(os.WEXITSTATUS(status), text, "")


def test_looking_writes_nothing(home: Path) -> None:
    """`scan`, also deep, `preflight`, `explain` and a plan leave every byte, mode and time."""
    demo.build(str(home / "mac"))
    before = fingerprint(home)
    where = ("--home", str(home / "mac"), "--platform", "darwin")
    for arguments in (
        ("scan",),
        ("scan", "--deep", "--json"),
        ("scan", "fluidaudio", "-v"),
        ("preflight", "fluidaudio", "--size", "small"),
        ("preflight", "faster-whisper", "--model", "tiny.en", "--json"),
        ("fix", "--dry-run"),
        ("fix", "--waste", "--json"),
        ("undo",),
        ("quarantine", "list"),
    ):
        cachedoctor(*arguments, *where)
        assert fingerprint(home) == before, arguments


def test_without_consent_the_plan_is_printed_and_nothing_done(home: Path) -> None:
    """No terminal and no `--yes`: the plan and exit 1; `--dry-run`: the plan and exit 0."""
    demo.build(str(home / "mac"))
    where = ("--home", str(home / "mac"), "--platform", "darwin")
    before = fingerprint(home)
    asked = cachedoctor("fix", *where)
    assert asked.code == 1
    assert "rename" in asked.output
    assert "--yes" in asked.errors
    assert cachedoctor("fix", "--dry-run", *where).code == 0
    assert fingerprint(home) == before


def test_a_dry_run_of_undo_and_of_the_quarantine_shows_and_changes_nothing(home: Path) -> None:
    """Each step back, each thing to delete; what `undo` would refuse, its dry run refuses too."""
    demo.build(str(home / "mac"))
    where = ("--home", str(home / "mac"), "--platform", "darwin")
    assert cachedoctor("undo", "--dry-run", *where).output == "no fix to take back\n"
    assert cachedoctor("fix", "fluidaudio", "--yes", "--offline", *where).code == 0
    before = fingerprint(home)
    shown = cachedoctor("undo", "--dry-run", *where)
    (run,) = cachedoctor("undo", "--dry-run", "--json", *where).data["runs"]
    assert shown.output.splitlines() == [
        f"{run['id']}:",
        *(f"  {step}" for step in run["steps"]),
        "nothing was changed",
    ]
    models = home / "mac/Library/Application Support/FluidAudio/Models"
    renamed = f"move `{models}/parakeet-tdt-0.6b-v3` to `{models}/parakeet-tdt-0.6b-v3-coreml`"
    assert renamed in run["steps"]
    kept = cachedoctor("quarantine", "list", "--json", *where).data["quarantine"]
    said = cachedoctor("quarantine", "empty", "--dry-run", "--json", *where).data
    assert (said["quarantine"], said["freed_bytes"], bool(kept)) == (kept, 0, True)
    assert "nothing was deleted" in cachedoctor("quarantine", "empty", "--dry-run", *where).output
    assert fingerprint(home) == before
    (models / "parakeet-tdt-0.6b-v3" / "parakeet_vocab.json").write_text("{}")
    refused = cachedoctor("undo", "--dry-run", *where)
    assert (refused.code, "after the fix" in refused.errors) == (4, True)


def test_a_terminal_is_asked_and_no_is_taken_for_no(home: Path) -> None:
    """At a terminal there is one question; anything but yes changes nothing."""
    demo.build(str(home / "mac"))
    before = fingerprint(home)
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cachedoctor", "fix", "--home", str(home / "mac"),
         "--platform", "darwin"],
        stdin=child, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    os.write(parent, b"n\n")
    output, _ = process.communicate(timeout=60)
    os.close(parent)
    os.close(child)
    assert b"Apply these 7 repairs?" in output
    assert process.returncode == 1
    assert fingerprint(home) == before


def test_waste_is_left_unless_it_is_asked_for(home: Path) -> None:
    """A note is set aside only by its code or `--waste`, not because its engine was named."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    partial = repository / "blobs" / f"{'ab' * 32}.0123abcd.incomplete"
    partial.write_bytes(b"half")
    assert cachedoctor("fix", "--yes").code == 0
    assert cachedoctor("fix", "faster-whisper", "--yes").code == 0
    assert partial.exists()
    assert cachedoctor("fix", "CD502", "--yes").code == 0
    assert not partial.exists()
    listed = cachedoctor("quarantine", "list", "--json").data["quarantine"]
    assert [item["origin"] for item in listed] == [str(partial)]
    assert cachedoctor("quarantine", "empty", "--yes", "--older-than", "1d").code == 0
    assert len(cachedoctor("quarantine", "list", "--json").data["quarantine"]) == 1
    assert time.strftime("%Y-%m") in cachedoctor("quarantine", "list").output
    assert cachedoctor("quarantine", "empty", "--yes", "--older-than", "0s").code == 0
    assert cachedoctor("quarantine", "list", "--json").data["quarantine"] == []
    assert cachedoctor("undo").output == "no fix to take back\n"


def test_an_undo_refuses_what_was_changed_since(home: Path) -> None:
    """A file that was changed after the fix is not moved; exit 4 and nothing done."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    ref = repository / "refs" / "main"
    ref.write_text("")
    assert cachedoctor("fix", "--yes").code == 0
    ref.write_text("0" * 40)
    refused = cachedoctor("undo")
    assert (refused.code, "changed after the fix" in refused.errors) == (4, True)
    assert ref.read_text() == "0" * 40


def test_ctrl_c_during_a_fix_is_130_and_the_next_one_finishes(home: Path) -> None:
    """Interrupted while it fetches, a fix says so; the next scan does too; the next fix ends it."""
    from tests.support.loopback import Hub

    files = worlds.whisper_files()
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, files)
    worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "model.bin").unlink()
    before = fingerprint(home)
    with Hub() as hub:
        hub.add(worlds.TINY, dict(files), commit=worlds.COMMIT)
        held = hub.hold("model.bin", 10)
        mirror = f"hub={hub.url}"
        process = subprocess.Popen(
            [sys.executable, "-m", "cachedoctor", "fix", "--yes", "--mirror", mirror],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert held.reached.wait(60)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert b"interrupted" in errors
        hub.heal()
        assert fingerprint(home) == before
        assert scan().codes == ["CD103", "CD417"]
        assert cachedoctor("fix", "--yes", "--mirror", mirror).code == 0
    assert scan("--deep", "--fail-on", "note").codes == []


def test_an_interrupted_pull_is_finished_and_counted_once(home: Path) -> None:
    """What finishing brings is neither counted nor fetched a second time."""
    from tests.support.loopback import Hub

    files = worlds.whisper_files()
    with Hub() as hub:
        hub.add(worlds.TINY, dict(files))
        held = hub.hold("model.bin", 10)
        mirror = ("--mirror", f"hub={hub.url}")
        pull = ("pull", "faster-whisper:tiny.en", "--yes", *mirror)
        process = subprocess.Popen(
            [sys.executable, "-m", "cachedoctor", *pull],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert held.reached.wait(60)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        hub.heal()
        asked = ("fix", "faster-whisper", "--model", "tiny.en", "--dry-run", *mirror)
        planned = cachedoctor(*asked, "--json").data["plan"]
        assert len(files["model.bin"]) <= planned["fetch_bytes"] <= sum(map(len, files.values()))
        said = cachedoctor(*asked).output
        assert "faster-whisper: 1 repair, nothing more to download" in said
        assert "only if that cannot be finished" in said
        ended = cachedoctor(*pull)
        assert ended.code == 0, ended.errors
        fetched = [one for one in hub.requests if one.path.endswith("model.bin")]
        assert sum(one.method == "GET" for one in fetched) == 2  # cut off, and whole
    assert cachedoctor("preflight", "faster-whisper", "--model", "tiny.en").code == 0


def test_every_command_has_help_and_the_json_has_its_head(home: Path) -> None:
    """Each command explains itself, and each JSON begins with schema and tool."""
    for name in ("scan", "fix", "undo", "quarantine", "preflight", "explain", "demo"):
        shown = cachedoctor(name, "--help")
        assert shown.code == 0
        assert "Usage: cachedoctor" in shown.output
    for arguments in (
        ("scan",),
        ("fix", "--dry-run"),
        ("undo",),
        ("quarantine", "list"),
        ("explain",),
        ("preflight", "whisper-mps", "--size", "tiny"),
    ):
        data = cachedoctor(*arguments, "--json").data
        assert (data["schema"], data["tool"]["name"]) == (1, "cachedoctor")


def test_the_demo_takes_everybody_through(tmp_path: Path) -> None:
    """The tour ends well, shows damage, cure and undo, and leaves the home as it was made."""
    shown = cachedoctor("demo", str(tmp_path / "demo"))
    assert shown.code == 0, shown.errors
    for words in ("CD102", "CD401", "✓", "ready   faster-whisper", "taken back"):
        assert words in shown.output
    demo.build(str(tmp_path / "again"))
    again = fingerprint(tmp_path / "again")
    kept = fingerprint(tmp_path / "demo")
    assert {k: (v[0], v[2]) for k, v in kept.items()} == {k: (v[0], v[2]) for k, v in again.items()}


def test_preflight_in_python_is_a_verdict(home: Path) -> None:
    """The API gives a typed verdict, imports nothing heavy, and raises only for unknown names."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    script = (
        "import sys, json, cachedoctor;"
        "v = cachedoctor.preflight('faster-whisper', model='tiny.en');"
        "bad = {'requests', 'huggingface_hub', 'tqdm', 'rich', 'numpy', 'click'};"
        "heavy = bad & set(sys.modules);"
        "print(json.dumps([v.ready, v.path, sorted(heavy)]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    ready, path, heavy = json.loads(done.stdout)
    assert (ready, heavy) == (True, [])
    assert path.endswith(worlds.COMMIT)


def test_the_hub_client_is_not_imported_to_look(home: Path) -> None:
    """`scan` and `preflight` import neither the hub client nor any other network library."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    for command in ("['scan']", "['preflight', 'faster-whisper', '--model', 'tiny.en']", "['-h']"):
        script = (
            f"import sys; sys.argv = ['cachedoctor', *{command}]\n"
            "from cachedoctor.cli import main\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            "bad = {'requests', 'huggingface_hub', 'tqdm', 'rich', 'numpy', 'asyncio'}\n"
            "sys.exit(' '.join(bad & set(sys.modules)) or 0)\n"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_fake_weights_are_not_believed(home: Path) -> None:
    """Four KiB in the place of a model's weights are found, whatever they hold."""
    repository = worlds.repository(
        worlds.hub_of(home),
        worlds.TINY,
        {**worlds.whisper_files(), "model.bin": builders.pattern(4096)},
    )
    assert repository.is_dir()
    assert scan().codes == ["CD202"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("scan", "fluidaudoi"), 2),
        (("scan", "--no-such-option"), 2),
        (("scan", "--home", "/nonexistent/home"), 3),
        (("fix", "CD999"), 2),
        (("preflight",), 2),
    ],
)
@pytest.mark.parametrize("asked", [("--json",), ("--format", "json"), ("--format=json",)])
def test_errors_are_data_where_data_was_asked_for(
    arguments: tuple[str, ...], code: int, asked: tuple[str, ...], home: Path
) -> None:
    """The same words as on standard error, with the exit code."""
    ended = cachedoctor(*arguments, *asked)
    assert ended.code == code
    assert ended.data["error"]["exit_code"] == code
    assert ended.data["error"]["message"] in ended.errors
    assert cachedoctor(*arguments).output == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("verify", "--max-age", "30"), "not an age: `30`"),
        (("scan", "--deadline", "20"), "not a time: `20`\nhint: write 90s, 5m or 2h"),
        (("fleet", "scan", "-i", "x", "--timeout", "20"), "not a time: `20`"),
        (("verify", "--max-rate", "fast"), "not a rate: `fast`"),
        (("quarantine", "empty", "--older-than", "soon"), "not an age: `soon`"),
        (("scan", "--env", "HF_HOME"), "--env needs NAME=VALUE, not `HF_HOME`"),
        (("scan", "--engine-version", "fluid=1.0"), "no engine `fluid`; did you mean `fluidaudio`"),
        (("preflight", "wisperkit", "--size", "tiny"), "no engine `wisperkit`"),
        (("explain", "CD99"), "no code `CD99`"),
        (("free", "plenty"), "not a size: `plenty`"),
        (("free", "--budget", "plenty"), "not a size: `plenty`"),
        (("pack", "x", "-o", "y", "--part-size", "big"), "not a size: `big`"),
        (("pull", "x:small", "--max-download", "some"), "not a size: `some`"),
        (("pull", "whisper.cpp"), "`whisper.cpp` is not ENGINE:SIZE or ENGINE:MODEL"),
        (("ensure", "wisperkit:tiny"), "no engine `wisperkit`; did you mean `whisperkit`"),
        (("prune", "--older-than", "soon"), "not an age: `soon`"),
        (("unpack", "x", "--for", "wisperkit"), "no engine `wisperkit`"),
        (("where", "whisperkit", "--size", "smal"), "no size `smal`; did you mean `small`"),
        (("verify", "--mirror", "hf=http://x"), "no source `hf`"),
        (("fix", "--mirror", "hub=hf.co"), "not an address: `hf.co`\nhint: write https://"),
    ],
)
def test_what_is_no_value_is_refused_before_anything_is_done(
    words: tuple[str, ...], said: str
) -> None:
    """Each option's text is read by its type, which says what would be right."""
    ended = cachedoctor(*words)
    assert ended.code == 2
    assert said in ended.errors


@NEEDS_FULL
@pytest.mark.parametrize(
    "words",
    [
        ("report", "-o"),
        ("lock", "faster-whisper:tiny.en", "-o"),
        ("verify", "--subset", "1/1", "--save"),
    ],
)
def test_an_answer_that_cannot_be_written_is_told(words: tuple[str, ...], home: Path) -> None:
    """Whatever is to be written, with one exit code, and the file is named."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    ended = cachedoctor(*words, "/dev/full")
    assert ended.code == 3
    assert "`/dev/full` could not be written: No space left on device" in ended.errors
