"""The library as the author of a program meets it: all of it from `import cachedoctor`."""

from __future__ import annotations

import ast
import enum
import importlib.resources
import inspect
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cachedoctor
from docs.generate import api_reference
from tests.conftest import fingerprint
from tests.support import worlds
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
PUBLIC = {name: getattr(cachedoctor, name) for name in cachedoctor.__all__}
VALUES = [
    thing
    for thing in PUBLIC.values()
    if inspect.isclass(thing) and (hasattr(thing, "_fields") or issubclass(thing, enum.Enum))
]


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Serve one model."""
    with Hub() as served:
        served.add(worlds.TINY, dict(worlds.whisper_files()))
        yield served


@pytest.fixture
def tiny(home: Path) -> Path:
    """Put a whole model into the hub cache; return its repository's folder."""
    return worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())


def test_every_name_is_there_and_nothing_is_imported_for_it() -> None:
    """`import cachedoctor` is free; names come when they are asked for, and `dir` knows them."""
    listed = {name for names in cachedoctor._HOMES.values() for name in names}
    assert listed | {"__version__"} == set(cachedoctor.__all__)
    assert set(cachedoctor.__all__) <= set(dir(cachedoctor))
    code = (
        "import cachedoctor, sys;"
        "print([name for name in sys.modules if name.startswith('cachedoctor.')]);"
        "cachedoctor.UsageError; cachedoctor.Verdict;"
        "print('huggingface_hub' in sys.modules or 'requests' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False"]
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        cachedoctor.nothing_of_ours  # noqa: B018 - the attribute is what is tested


def test_types_are_shipped() -> None:
    """A type checker believes the package's own annotations, and checks the examples with them."""
    assert importlib.resources.files("cachedoctor").joinpath("py.typed").is_file()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["strict"]
    assert "docs/examples" in settings["files"]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_every_field_of_every_value_is_documented(value: type) -> None:
    """Each field, each member of an enumeration and each property says what it is."""
    said = api_reference.members(value)
    names = [member.value for member in value] if issubclass(value, enum.Enum) else value._fields  # type: ignore[attr-defined]
    assert list(said) == list(names)
    assert all(said.values()), [name for name, words in said.items() if not words]
    for name, member in vars(value).items():
        if isinstance(member, property):
            assert member.__doc__, name


def test_every_function_says_what_it_returns_and_raises() -> None:
    """A docstring for each, with every parameter annotated by a name that can be imported."""
    functions = [thing for thing in PUBLIC.values() if inspect.isfunction(thing)]
    assert len(functions) > 18
    for function in functions:
        assert function.__doc__
        assert "network" not in inspect.signature(function).parameters, function.__name__
    for name in ("ensure", "apply", "verify"):
        assert {"progress", "cancel"} <= inspect.signature(PUBLIC[name]).parameters.keys()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_need_nothing_but_the_package(path: Path) -> None:
    """They import the standard library and `cachedoctor`, and of that no module."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
        for name in names:
            assert name == "cachedoctor" or name.partition(".")[0] in sys.stdlib_module_names


def run_dictation(hub: Hub, *, offline: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the example as its user would."""
    import os

    environment = {**os.environ, "HF_ENDPOINT": hub.url}
    if offline:
        environment["HF_HUB_OFFLINE"] = "1"
    return subprocess.run(
        [sys.executable, str(ROOT / "docs/examples/dictation.py")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=120,
    )


def test_the_dictation_program_works() -> None:
    """On an empty machine it says what it will fetch, shows a bar, and is ready; then at once."""
    with Hub() as served:
        served.add("Systran/faster-whisper-base", dict(worlds.whisper_files()))
        refused = run_dictation(served, offline=True)
        first = run_dictation(served)
        again = run_dictation(served)
    assert refused.returncode == 1
    assert "HF_HUB_OFFLINE" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (first.returncode, first.stderr.count("missing")) == (0, 1), first.stderr
    assert "will fetch base" in first.stdout
    assert "100%" in first.stderr
    assert again.stdout.splitlines() == first.stdout.splitlines()[-1:]
    assert again.stderr == ""


def test_a_verdict_is_true_when_the_model_is_ready(tiny: Path) -> None:
    """And a lock file may be named by its path."""
    assert cachedoctor.preflight("faster-whisper", model="tiny.en")
    assert not cachedoctor.preflight("faster-whisper", size="large")
    locking = cachedoctor.lock("faster-whisper:tiny.en")
    path = tiny.parent / "models.lock"
    path.write_text(locking.text)
    assert cachedoctor.read_lock(path).models[0].files == locking.models[0].files
    assert cachedoctor.preflight("faster-whisper", model="tiny.en", lock=path)
    worlds.cut(worlds.blob_of(tiny / "snapshots" / worlds.COMMIT / "model.bin"), 10)
    assert not cachedoctor.preflight("faster-whisper", model="tiny.en", lock=path)


def test_questions_that_look(tiny: Path) -> None:
    """`scan`, `where`, `models` and `diagnose` of this machine, without a host."""
    assert [entry.model for entry in cachedoctor.scan("faster-whisper").entries] == ["tiny.en"]
    path = cachedoctor.where("faster-whisper", model="tiny.en")
    assert path == str(tiny / "snapshots" / worlds.COMMIT)
    assert cachedoctor.where("faster-whisper") == str(tiny.parent)
    with pytest.raises(cachedoctor.CacheDoctorError, match="base is missing"):
        cachedoctor.where("faster-whisper", size="base")
    found = cachedoctor.diagnose("RuntimeError: Unable to open file 'model.bin' in model '/x'")
    assert (found.engines, found.recognised[0].codes) == (("faster-whisper",), ("CD101", "CD103"))
    assert not cachedoctor.diagnose("all is well").recognised


def test_verify_is_true_when_nothing_is_wrong(tiny: Path) -> None:
    """It counts what is proven and what is not; afterwards the bad file is known and named."""
    seen: list[cachedoctor.Moment] = []
    good = cachedoctor.verify("faster-whisper", progress=seen.append)
    assert good
    assert len(good.proven) == 4
    assert seen[-1].fraction == 1.0
    assert [moment.done_bytes for moment in seen] == sorted(moment.done_bytes for moment in seen)
    worlds.flip(worlds.blob_of(tiny / "snapshots" / worlds.COMMIT / "model.bin"), 40)
    bad = cachedoctor.verify(paths=[str(tiny)])
    assert not bad
    assert [Path(file.links[0]).name for file in bad.wrong] == ["model.bin"]


def test_verify_can_be_given_up(tiny: Path) -> None:
    """Before it reads a byte more."""
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(cachedoctor.CancelledError):
        cachedoctor.verify(cancel=cancel)
    assert cachedoctor.verify()


def test_a_plan_is_applied_listed_and_taken_back(home: Path, tiny: Path) -> None:
    """`plan` carries what `apply` needs; `history` names the run, `undo` takes it back."""
    (tiny / "refs/main").write_text(f"{worlds.COMMIT}\n")
    before = fingerprint(home)
    plan = cachedoctor.plan(cachedoctor.scan(), offline=True)
    assert (plan.fetch_bytes, plan.fetch_bytes_known) == (0, True)
    assert repr(plan.report) == f"<Report of {home}: 1 entries, 1 findings>"
    assert not cachedoctor.preflight("faster-whisper", model="tiny.en")
    outcome = cachedoctor.apply(plan)
    assert cachedoctor.preflight("faster-whisper", model="tiny.en")
    (run,) = cachedoctor.history()
    assert ((run.id,), run.state, run.undoable) == (outcome.runs, "done", True)
    assert run.engines == ("faster-whisper",)
    assert "refs/main" in run.repairs[0]
    (back,) = cachedoctor.undo(run.id)
    assert (back.id, back.state, back.undoable) == (run.id, "undone", False)
    assert fingerprint(home) == before
    assert cachedoctor.undo() == ()


def test_a_download_that_is_given_up_leaves_nothing(home: Path, hub: Hub) -> None:
    """No cache is touched, nothing is kept for later, and the next call begins anew."""
    before = fingerprint(home)
    cancel = threading.Event()
    hub.slow("model.bin", 100)

    def watch(moment: cachedoctor.Moment) -> None:
        assert moment.total_bytes == sum(map(len, worlds.whisper_files().values()))
        cancel.set()

    ask = cachedoctor.ensure
    with pytest.raises(cachedoctor.CancelledError):
        ask(
            "faster-whisper",
            model="tiny.en",
            allow=lambda _: True,
            mirrors={"hub": hub.url},
            progress=watch,
            cancel=cancel,
        )
    assert fingerprint(home) == before
    (run,) = cachedoctor.history()
    assert (run.state, run.aside_bytes, run.undoable) == ("failed", 0, False)
    assert cachedoctor.scan().findings == ()
    hub.heal()
    assert ask("faster-whisper", model="tiny.en", allow=lambda _: True, mirrors={"hub": hub.url})


def test_a_second_repair_is_refused_with_an_error_of_its_own(home: Path, tiny: Path) -> None:
    """A program may wait and try again; nothing was changed."""
    from cachedoctor.runs import operating

    (tiny / "refs/main").write_text(f"{worlds.COMMIT}\n")
    plan = cachedoctor.plan(cachedoctor.scan())
    before = fingerprint(home)
    with operating.alone(cachedoctor.Host.look().state), pytest.raises(cachedoctor.LockHeldError):
        cachedoctor.apply(plan)
    assert fingerprint(home) == before


def test_a_pack_is_written_and_unpacked(tiny: Path, tmp_path: Path) -> None:
    """`pack` with a folder, and `unpack` into another home."""
    packed = cachedoctor.pack("faster-whisper:tiny.en", folder=tmp_path / "stick")
    assert packed.bytes == sum(map(len, worlds.whisper_files().values()))
    (tmp_path / "other").mkdir()
    other = cachedoctor.Host.look(home=str(tmp_path / "other"))
    cachedoctor.apply(cachedoctor.unpack(tmp_path / "stick", host=other))
    assert cachedoctor.preflight("faster-whisper", model="tiny.en", host=other)


def test_values_can_be_printed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a line or two, and without what the environment holds."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    report = cachedoctor.scan()
    for value in (cachedoctor.Host.look(), report, cachedoctor.plan(report), cachedoctor.prune()):
        assert len(repr(value)) < 1000
        assert "hf_secret" not in repr(value)


def test_a_mirror_that_means_nothing_is_refused() -> None:
    """By its name, with those that there are."""
    with pytest.raises(cachedoctor.UsageError, match="no mirror for `hbu`"):
        cachedoctor.verify(online=True, mirrors={"hbu": "http://127.0.0.1"})
