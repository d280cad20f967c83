"""`cachedoctor.toml` adds places and versions; every mistake in it names file, line and key."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor import config, doctor, preflight
from cachedoctor.errors import UsageError
from cachedoctor.host import Host
from tests import builders, builders_models, worlds
from tests.command import cachedoctor


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with models in places of its own."""
    folder = tmp_path / "project"
    worlds.repository(folder / "cache", worlds.TINY, worlds.whisper_files())
    local = folder / "local" / "faster-whisper-tiny.en"
    local.mkdir(parents=True)
    for name, content in worlds.whisper_files().items():
        (local / name).write_bytes(content)
    ggml = folder / "bins" / "ggml-parakeet-tdt-0.6b-v3-f32.bin"
    ggml.parent.mkdir()
    ggml.write_bytes(builders_models.ggml_parakeet())
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "tiny.pt").write_bytes(builders.torch_zip_file()[:-9])
    return folder


def write(folder: Path, text: str) -> Path:
    """Write a configuration file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cachedoctor.toml"
    path.write_text(text)
    return path


def user_folder() -> Path:
    """Return the running user's own folder of configuration, which tests move."""
    return Path(os.environ["XDG_CONFIG_HOME"]) / "cachedoctor"


def found(project: Path) -> set[tuple[tuple[str, ...], str]]:
    """Return the engines and models of a scan with this project."""
    entries = doctor.scan(Host.look(project=str(project))).entries
    return {(entry.engines, entry.model or "") for entry in entries if entry.claims}


@pytest.mark.parametrize(
    ("kind", "path", "engine", "claims"),
    [
        ("hub-cache", "cache", "", {(("faster-whisper",), "tiny.en")}),
        ("hub-cache", "cache", "faster-whisper", {(("faster-whisper",), "tiny.en")}),
        ("hub-cache", "cache", "mlx-whisper", set()),
        ("local-dir", "local", "faster-whisper", {(("faster-whisper",), "tiny.en")}),
        (
            "local-dir",
            "local/faster-whisper-tiny.en",
            "faster-whisper",
            {(("faster-whisper",), "tiny.en")},
        ),
        ("ggml-folder", "bins", "", {(("whisper.cpp",), "parakeet-tdt-0.6b-v3-f32")}),
        ("openai-cdn", "checkpoints", "whisper-mps", {(("whisper-mps",), "tiny")}),
        ("openai-cdn", "nowhere", "whisper-mps", set()),
    ],
)
def test_a_place_that_was_added_is_looked_at(
    kind: str, path: str, engine: str, claims: set[tuple[tuple[str, ...], str]], project: Path
) -> None:
    """Its models are claimed by the engine that is named, or by all that use the layout."""
    assert found(project) == set()
    whose = f'engine = "{engine}"\n' if engine else ""
    write(project, f'[[locator]]\nkind = "{kind}"\npath = "{path}"\n{whose}')
    assert found(project) == claims


def test_the_users_own_file_may_name_any_place(project: Path, home: Path) -> None:
    """Absolute, or from the home that is looked at; `preflight` finds the model there too."""
    text = f'[[locator]]\nkind = "hub-cache"\npath = "{project}/cache"\n'
    write(user_folder(), text + '[[locator]]\nkind = "ggml-folder"\npath = "~/mine"\n')
    (home / "mine").mkdir()
    (home / "mine" / "ggml-parakeet-tdt-0.6b-v3-f32.bin").write_bytes(
        builders_models.ggml_parakeet()
    )
    verdict = preflight("faster-whisper", model="tiny.en", host=Host.look())
    assert verdict.ready, verdict.why
    assert preflight("whisper.cpp", model="parakeet-tdt-0.6b-v3-f32", host=Host.look()).ready


def test_versions_are_taken_from_the_file_and_outdone_by_the_option(project: Path) -> None:
    """The project's file goes before the user's, and the command line before both."""
    write(user_folder(), '[engines]\nfluidaudio = "0.8.2"\nwhisperkit = "0.13.1"\n')
    write(project, '[engines]\nfluidaudio = "0.13.2"\n')
    versions = Host.look(project=str(project)).engine_versions
    assert versions == {"fluidaudio": "0.13.2", "whisperkit": "0.13.1"}
    given_ = Host.look(project=str(project), engine_versions={"fluidaudio": "0.15.5"})
    assert given_.engine_versions["fluidaudio"] == "0.15.5"


LOCATOR = '[[locator]]\nkind = "hub-cache"\n'


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("[[locator]\n", 1, ""),
        ("x = 1\n", 1, "x"),
        ('[locator]\nkind = "hub-cache"\n', 1, "locator"),
        ('[[locator]]\npath = "a"\n', 1, "kind"),
        (LOCATOR, 1, "path"),
        (LOCATOR + 'path = "cache"\n' + LOCATOR, 4, "path"),
        (LOCATOR + "path = 5\n", 3, "path"),
        (LOCATOR + 'path = ""\n', 3, "path"),
        (LOCATOR + 'path = "a\\u0000b"\n', 3, "path"),
        (LOCATOR + 'path = "cache"\ncolour = "red"\n', 4, "colour"),
        (LOCATOR + 'path = "../elsewhere"\n', 3, "path"),
        (LOCATOR + 'path = "/etc"\n', 3, "path"),
        (LOCATOR + 'path = "out"\n', 3, "path"),
        ('[[locator]]\nkind = "hub-cahce"\npath = "cache"\n', 2, "hub-cahce"),
        (LOCATOR + 'path = "cache"\nengine = "fluidaudoi"\n', 2, "fluidaudoi"),
        ("engines = 5\n", 1, "engines"),
        ('[engines]\nfluidaudio = "newest"\n', 2, "fluidaudio"),
        ("[engines]\nfluidaudio = 15\n", 2, "fluidaudio"),
        ('[engines]\nfluidaudoi = "0.15.5"\n', 2, "fluidaudoi"),
    ],
)
def test_a_mistake_names_file_line_and_key(text: str, line: int, key: str, project: Path) -> None:
    """Exit code 2 and one clear error, whatever is wrong."""
    (project / "out").symlink_to("/etc")
    path = write(project, text)
    wrong = cachedoctor("scan", "--project", str(project))
    assert wrong.code == 2, wrong.output + wrong.errors
    assert str(path) in wrong.errors
    assert f"line {line}" in wrong.errors
    assert f"`{key}`" in wrong.errors or not key
    assert "Traceback" not in wrong.errors


def test_what_is_no_text_file_is_refused_or_passed_over(project: Path) -> None:
    """Bytes that are no UTF-8 are refused; a folder or pipe of that name is no configuration."""
    path = project / "cachedoctor.toml"
    path.write_bytes(b'x = "\xff"\n')
    with pytest.raises(UsageError, match="cannot be understood"):
        Host.look(project=str(project))
    path.unlink()
    os.mkfifo(path)
    assert Host.look(project=str(project)).places == ()
    path.unlink()
    path.mkdir()
    assert Host.look(project=str(project)).places == ()


@given(
    text=st.lists(
        st.sampled_from(
            ["[[locator]]", "[engines]", 'kind = "hub-cache"', 'path = "a"', "path = 1", "x", "=",
             'engine = "whisper.cpp"', "kind = []", "[locator]", '"', "[[engines]]", "a = {}",
             'fluidaudio = "1"', "# words", "\\"]
        ),
        max_size=8,
    )
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text: list[str]) -> None:
    """No text raises anything but the error that names it."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), "\n".join(text))
        try:
            assert isinstance(config.read(folder, home="/home", confined=True), config.Config)
        except UsageError as error:
            assert "cachedoctor.toml" in error.message  # noqa: PT017 - others fail by themselves
