"""`cachedoctor.toml` adds places and versions; every mistake in it names file, line and key."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor import config, ensure, preflight
from cachedoctor.doctor import scanning
from cachedoctor.errors import UsageError
from cachedoctor.host import Host
from cachedoctor.vocabulary import Status
from tests.support import builders, builders_models, coreml_bundles, worlds
from tests.support.command import cachedoctor, scan


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
    entries = scanning.scan(Host.look(project=str(project))).entries
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
    """The command line goes before the user's own file; a project's versions do not count."""
    write(user_folder(), '[engines]\nfluidaudio = "0.8.2"\nwhisperkit = "0.13.1"\n')
    write(project, '[engines]\nfluidaudio = "0.13.2"\n')
    versions = Host.look(project=str(project)).engine_versions
    assert versions == {"fluidaudio": "0.8.2", "whisperkit": "0.13.1"}
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
        (LOCATOR + 'path = "cache/../../elsewhere"\n', 3, "path"),
        (LOCATOR + 'path = "out/below"\n', 3, "path"),
        (LOCATOR + 'path = "~/elsewhere"\n', 3, "path"),
        # what would lead a search for the line astray
        ('[[locator]] # one\nkind = "hub-cache"\npath = "cache"\n' * 2 + "x = 5\n", 7, "x"),
        (LOCATOR + 'path = "cache"\n[[ locator ]] # two\nkind = "hub-cache"\n', 4, "path"),
        (LOCATOR + 'path = "cache"\n[engines]\nkind = 5\n', 5, "kind"),
        ('# words\nengines.fluidaudio = "newest"\n', 2, "fluidaudio"),
        ('#\nlocator = [{ kind = "hub-cache", path = "/etc" }]\n', 2, "path"),
        ('[engines]\nfaster-whisper = "1.0"\nfaster = "1"\n', 3, "faster"),
        ("# \u2028 words \u0085\nx = 1\n", 2, "x"),
        (f'[engines]\nfluidaudio = "{"9" * 5000}"\n', 2, "fluidaudio"),
        ('[engines]\nfluidaudio = "\u0661.\u0662"\n', 2, "fluidaudio"),
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
    with pytest.raises(UsageError, match="cannot be parsed"):
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
@settings(max_examples=200)
def test_any_text_is_read_or_refused(text: list[str]) -> None:
    """No text raises anything but the error that names it."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), "\n".join(text))
        try:
            assert isinstance(config.read(folder, home="/home", confined=True), config.Config)
        except UsageError as error:
            assert "cachedoctor.toml" in error.message  # noqa: PT017 - others fail by themselves


@pytest.mark.parametrize(
    "content",
    [
        b"# words\n" * (1 << 18) + LOCATOR.encode() + b'path = "cache"\n',
        b"x = " + b"[" * 5000 + b"]" * 5000,
        b"# words\nx = '\xff'\n",
    ],
    ids=["2 MB", "deep", "no UTF-8"],
)
def test_what_cannot_be_read_as_a_whole_is_refused(content: bytes, project: Path) -> None:
    """Nothing is read in part, and no depth is too great to be refused in one line."""
    path = project / "cachedoctor.toml"
    path.write_bytes(content)
    wrong = cachedoctor("scan", "--project", str(project))
    assert wrong.code == 2, wrong.output + wrong.errors
    assert f"`{path}`" in wrong.errors
    assert "cannot be parsed" in wrong.errors
    if b"\xff" in content:
        assert "line 2" in wrong.errors


@pytest.mark.parametrize("engine", ["", 'engine = "whisperkit"\n'])
def test_the_swift_hubs_layout_in_another_place(engine: str, home: Path, project: Path) -> None:
    """A base of an app's own is claimed by WhisperKit, and by the version that the file names."""
    models = project / "swift"
    folder = models / "argmaxinc/whisperkit-coreml/openai_whisper-tiny"
    for seed, name in enumerate(("AudioEncoder", "MelSpectrogram", "TextDecoder")):
        coreml_bundles.make_bundle(folder / f"{name}.mlmodelc", weights=[8], seed=seed)
    tokenizer = models / "openai" / "whisper-tiny"
    tokenizer.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tokenizer / name).write_text("{}")
    place = f'[[locator]]\nkind = "documents"\npath = "swift"\n{engine}'
    write(project, place)
    write(user_folder(), '[engines]\nwhisperkit = "0.13.1"\n')
    where = ("--home", str(home), "--platform", "darwin", "--project", str(project))
    assert set(scan(*where).codes) == {"CD104"}  # 0.13.1 looks below the model alone
    outdone = scan(*where, "--engine-version", "whisperkit=0.18.0")
    assert outdone.codes == []
    (entry,) = [entry for entry in outdone.data["entries"] if entry["engines"]]
    assert entry["engines"] == ["whisperkit"]
    assert (entry["model"], entry["status"]) == ("openai_whisper-tiny", "ready")


@pytest.mark.parametrize("engine", ["", 'engine = "fluidaudio"\n'])
def test_fluidaudios_layout_in_another_place(engine: str, home: Path, project: Path) -> None:
    """A folder of compiled bundles that an app chose is claimed by FluidAudio."""
    folder = project / "apple" / "silero-vad"
    folder.mkdir(parents=True)
    name = "silero-vad-unified-256ms-v6.2.1.mlmodelc"
    coreml_bundles.make_bundle(folder / name, weights=[8], seed=1)
    write(project, f'[[locator]]\nkind = "application-support"\npath = "apple"\n{engine}')
    report = scanning.scan(Host.look(home=str(home), platform="darwin", project=str(project)))
    assert report.findings == ()
    claimed = [(e.engines, e.model, report.statuses[e.id]) for e in report.entries if e.claims]
    assert claimed == [(("fluidaudio",), "silero-vad", Status.READY)]


@given(text=st.text(max_size=60))
@settings(max_examples=100)
def test_free_text_is_read_or_refused(text: str) -> None:
    """The same of text that is nothing like a configuration."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cachedoctor.toml").write_bytes(text.encode())
        try:
            config.read(folder, home="/home", confined=True)
        except UsageError as error:
            assert "cachedoctor.toml" in error.message  # noqa: PT017 - others fail by themselves


def test_a_place_without_an_engine_is_of_all_that_use_the_layout(project: Path) -> None:
    """OpenAI's files belong to both engines that load them; several may be given one place."""
    write(project, '[[locator]]\nkind = "openai-cdn"\npath = "checkpoints"\n')
    assert found(project) == {(("openai-whisper", "whisper-mps"), "tiny")}
    two = '[[locator]]\nkind = "local-dir"\npath = "local"\nengine = "{}"\n'
    write(project, two.format("faster-whisper") + two.format("mlx-whisper"))
    assert found(project) == {(("faster-whisper",), "tiny.en")}


def test_a_usual_place_stays_everybodys_when_it_is_given_to_one(project: Path) -> None:
    """Naming `models/` for one layout takes nothing from the others, nor from its other engines."""
    (project / "cache").rename(project / "models")
    (project / "bins" / "ggml-parakeet-tdt-0.6b-v3-f32.bin").rename(
        project / "models" / "ggml-parakeet-tdt-0.6b-v3-f32.bin"
    )
    usual = {(("faster-whisper",), "tiny.en"), (("whisper.cpp",), "parakeet-tdt-0.6b-v3-f32")}
    assert found(project) == usual
    write(project, '[[locator]]\nkind = "hub-cache"\npath = "models"\nengine = "mlx-whisper"\n')
    assert found(project) == usual


def test_a_projects_versions_do_not_count_and_it_is_said(project: Path) -> None:
    """Nor what it wants to keep: a note."""
    write(project, 'keep = ["x"]\n[engines]\nfluidaudio = "0.13.2"\n')
    host = Host.look(project=str(project))
    assert host.engine_versions == {}
    said = [f for f in scanning.scan(host).findings if f.code == "CD411"]
    assert [f.severity.value for f in said] == ["note"]
    assert "`[engines]` and `keep`" in said[0].message


@pytest.mark.parametrize("how", ["link", "pipe", "folder", "open to others", "somebody else's"])
def test_an_own_file_that_may_be_somebody_elses_stops_changes(how: str, project: Path) -> None:
    """Looking says so and goes on without it; what changes anything ends with exit code 2."""
    path = write(user_folder(), '[engines]\nfluidaudio = "0.13.2"\n')
    if how in ("link", "pipe", "folder"):
        path.rename(project / "elsewhere")
        if how == "link":
            path.symlink_to(project / "elsewhere")
        elif how == "pipe":
            os.mkfifo(path)
        else:
            path.mkdir()
    elif how == "open to others":
        path.chmod(0o666)
    elif os.geteuid():
        pytest.skip("only root can give a file away")
    else:
        os.chown(path, 65534, 65534)
    looked = scan()
    assert looked.code == 0, looked.errors
    assert looked.codes == ["CD411"]
    for command in (("fix", "--dry-run"), ("undo",), ("quarantine", "list")):
        ended = cachedoctor(*command)
        assert ended.code == 2, ended.output + ended.errors
        assert "is not read" in ended.errors
    with pytest.raises(UsageError, match="is not read"):
        ensure("faster-whisper", allow=lambda _: True, size="tiny")
