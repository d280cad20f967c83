"""Foreign files of every kind: no traceback, no waiting, no gigabytes, no secret in the answer."""

from __future__ import annotations

import json
import os
import resource
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cachedoctor.cli import group
from cachedoctor.errors import CacheDoctorError
from cachedoctor.looking import untrusted
from tests.support import builders, builders_models, worlds

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "hunter2-the-secret-of-somebody"
DEEP = 100_000
SPARSE_BYTES = 3 << 30
LIMIT_S = 3.0  # far more than it takes, for a machine that does other things
LIMIT_BYTES = 1 << 30

LOCK = """version = 1
[[model]]
engine = "faster-whisper"
name = "tiny.en"
files."config.json" = {bytes = 46, sha256 = "%s"}
""" % ("0" * 64)  # fmt: skip


class World:
    """A home and a project with a file of every kind."""

    def __init__(self, folder: Path) -> None:
        """Write them."""
        self.home, self.project = folder / "home", folder / "project"
        folder.mkdir(exist_ok=True)
        self.secret = folder / "secret"
        self.secret.write_text(f'{SECRET}\n{SECRET} = "{SECRET}"\n')
        hub = worlds.hub_of(self.home)
        files = {
            **worlds.whisper_files(),
            "model.safetensors.index.json": b'{"weight_map": {"a": "model.safetensors"}}',
        }
        repository = worlds.repository(hub, worlds.TINY, files)
        snapshot = repository / "snapshots" / worlds.COMMIT
        marker = repository / ".no_exist" / worlds.COMMIT / "preprocessor_config.json"
        marker.parent.mkdir(parents=True)
        marker.touch()
        held = hub / ".locks" / repository.name / f"{'a' * 64}.lock"
        held.parent.mkdir(parents=True)
        held.touch()
        local = self.project / "models" / "faster-whisper-tiny.en"
        notes = local / ".cache/huggingface/download"
        notes.mkdir(parents=True)
        for name, content in worlds.whisper_files().items():
            (local / name).write_bytes(content)
            note = f"{worlds.COMMIT}\n{worlds.etag(name, content)}\n{time.time()}\n"
            (notes / f"{name}.metadata").write_text(note)
        lightning = self.project / "mlx_models" / "tiny"
        lightning.mkdir(parents=True)
        (lightning / "config.json").write_text('{"n_mels": 80}')
        (lightning / "weights.npz").write_bytes(builders_models.npz_file())
        torch = self.home / ".cache/whisper/tiny.pt"
        torch.parent.mkdir(parents=True)
        torch.write_bytes(builders.torch_zip_file())
        support = self.home / "Library/Application Support/FluidAudio/Models"
        bundle = support / "parakeet-tdt-0.6b-v3-coreml" / "Encoder.mlmodelc"
        bundle.mkdir(parents=True)
        (bundle / "metadata.json").write_text("[{}]")
        (bundle / "model.mil").write_text("program(1.0)\n{}\n")
        partial = bundle.parent / "vocab.json.partial.etag"
        partial.write_text("etag")
        (bundle.parent / "parakeet_vocab.json").write_text('{"0": "a"}')
        self.lock = self.project / "models.lock"
        self.lock.write_text(LOCK)
        self.configuration = self.project / "cachedoctor.toml"
        self.configuration.write_text("")
        self.own = Path(os.environ["XDG_CONFIG_HOME"]) / "cachedoctor" / "cachedoctor.toml"
        self.own.parent.mkdir(parents=True)
        self.own.write_text("")
        self.kinds = {
            "ref": repository / "refs" / "main",
            "manifest": repository / "trees" / f"{worlds.COMMIT}.json",
            "marker": marker,
            "client's lock": held,
            "configuration of a model": worlds.blob_of(snapshot / "config.json"),
            "tokenizer": worlds.blob_of(snapshot / "tokenizer.json"),
            "index": worlds.blob_of(snapshot / "model.safetensors.index.json"),
            "weights": worlds.blob_of(snapshot / "model.bin"),
            "snapshot's name": snapshot / "config.json",
            "local file": local / "config.json",
            "metadata": notes / "config.json.metadata",
            "bits": lightning / "config.json",
            "archive": lightning / "weights.npz",
            "checkpoint": torch,
            "bundle": bundle / "metadata.json",
            "program": bundle / "model.mil",
            "etag of a partial": partial,
            "vocabulary": bundle.parent / "parakeet_vocab.json",
            "lock": self.lock,
            "project's configuration": self.configuration,
            "own configuration": self.own,
        }

    def commands(self, kind: str) -> list[tuple[str, ...]]:
        """Return what is run in it, which changes nothing; all of it where it may read the file."""
        place = ("--home", str(self.home), "--platform", "darwin", "--project", str(self.project))
        always = [
            ("scan", *place),
            ("verify", "--json", *place),
            ("fix", "--dry-run", "--offline", *place),
        ]
        if kind not in ("ref", "manifest", "lock", "project's configuration", "own configuration"):
            return always
        return [
            *always,
            ("preflight", "faster-whisper", "--model", "tiny.en", *place),
            ("preflight", "--lock", str(self.lock), *place),
            ("where", "faster-whisper", "--model", "tiny.en", *place),
            ("lock", "--check", str(self.lock), *place),
            ("info", *place),
        ]


def _sparse(path: Path, _world: World) -> None:
    with path.open("wb") as file:
        file.truncate(SPARSE_BYTES)


def _device(path: Path, _world: World) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    except OSError:
        path.symlink_to("/dev/zero")


def _writing(content: bytes | str) -> Callable[[Path, World], None]:
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content

    def write(path: Path, _world: World) -> None:
        path.write_bytes(data)

    return write


WRONG: list[object] = [
    None,
    True,
    -1,
    1.5,
    "",
    "\ud800",
    "a\0b",
    "../../x",
    [],
    {},
    [[]],
    "x" * 5000,
    10**30,
]


def _types() -> str:
    """Return a manifest, index and configuration at once whose every field has each wrong type."""
    rows = {str(n): value for n, value in enumerate(WRONG)}
    for key in ("size", "blob_id", "lfs_sha256", "lfs_size"):
        good = {"size": 1, "blob_id": "a" * 40, "lfs_sha256": "b" * 64, "lfs_size": 1}
        rows |= {f"{key}{n}": {**good, key: value} for n, value in enumerate(WRONG)}
    rows |= {str(name): {"size": 1, "blob_id": "a" * 40} for name in ("/etc/x", "a/../../b", "\0")}
    return json.dumps(
        {"format_version": 1, "files": rows, "weight_map": rows, "quantization": {"bits": WRONG}}
    )


DEFECTS: dict[str, Callable[[Path, World], None]] = {
    "pipe": lambda path, _: os.mkfifo(path),
    "device": _device,
    "link to a secret": lambda path, world: path.symlink_to(world.secret),
    "link to itself": lambda path, _: path.symlink_to(path),
    "folder": lambda path, _: path.mkdir(),
    "gone": lambda _path, _world: None,
    "empty": _writing(b""),
    "3 GB": _sparse,
    "deep": _writing("[" * DEEP + "]" * DEEP),
    "deep tables": _writing('{"files":' * DEEP + "1" + "}" * DEEP),
    "deep TOML": _writing("a = " + "[" * DEEP),
    "dotted TOML": _writing("a" + ".a" * DEEP + " = 1\n"),
    "types": _writing(_types()),
    "array": _writing("[1, 2]"),
    "text": _writing('"text"'),
    "types in TOML": _writing('version = [1]\nmodel = 3\nlocator = "x"\nengines = 1979-05-27\n'),
    "rows in TOML": _writing(
        'version = 1\n[[model]]\nengine = {}\nname = nan\nfiles."../x" = {bytes = -1}\n'
    ),
    "numbers": _writing('{"files": {"a": {"size": NaN, "blob_id": Infinity}}, "bits": 1e999}'),
    "a huge number": _writing('{"files": {"a": {"size": ' + "9" * 10_000 + "}}}"),
    "a large number": _writing('{"files": {"a": {"size": 1' + "0" * 400 + ', "blob_id": ""}}}'),
    "no UTF-8": _writing(b"\xff\xfe{\x80}\n\xff\n"),
    "NULs": _writing(b"\0" * 4096),
    "many lines": _writing(b"\n" * 100_000),
}  # fmt: skip

KINDS = (
    *("ref", "manifest", "marker", "client's lock", "configuration of a model", "tokenizer"),
    *("index", "weights", "snapshot's name", "local file", "metadata", "bits", "archive"),
    *("checkpoint", "bundle", "program", "etag of a partial", "vocabulary", "lock"),
    *("project's configuration", "own configuration"),
)


def test_the_table_names_every_kind(tmp_path: Path, home: Path) -> None:
    """And the world is one in which the commands find what they look for."""
    world = World(tmp_path / "world-of-it")
    assert tuple(world.kinds) == KINDS
    assert all(os.path.lexists(path) for path in world.kinds.values())


@pytest.mark.parametrize("third", [0, *(pytest.param(n, marks=pytest.mark.heavy) for n in (1, 2))])
@pytest.mark.parametrize("kind", KINDS)
def test_no_foreign_file_stops_or_tricks_a_command(
    kind: str, third: int, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each defect of a file of this kind is a finding, a refusal, or passed over; at once.

    The first third of the defects is another one for each kind.
    """
    chosen = list(DEFECTS.items())[(KINDS.index(kind) + third) % 3 :: 3]
    for number, (defect, damage) in enumerate(chosen):
        folder = tmp_path / f"world{number}"
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        world = World(folder)
        path = world.kinds[kind]
        path.unlink()
        damage(path, world)
        for command in world.commands(kind):
            if defect == "3 GB" and command[0] == "verify" and kind in _READ_WHOLE:
                continue  # there every byte is read, which is what was asked for
            began = time.monotonic()
            ended = CliRunner().invoke(group, command)
            took = time.monotonic() - began
            about = f"{kind}, {defect}: {' '.join(command[:2])}"
            error = ended.exception
            if isinstance(error, CacheDoctorError):
                assert error.exit_code in (1, 2, 3, 4), about
                said = error.message + error.hint
            else:
                assert error is None or isinstance(error, SystemExit), f"{about}: {error!r}"
                assert ended.exit_code in (0, 1, 2, 3, 4), about
                said = ""
            assert took < LIMIT_S, f"{about}: {took:.1f} s"
            assert SECRET not in ended.output + said, about
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert peak < LIMIT_BYTES


_READ_WHOLE = (
    *("configuration of a model", "tokenizer", "index", "weights", "local file"),
    *("archive", "checkpoint", "bits", "vocabulary", "snapshot's name", "bundle", "program"),
)


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    """A link only where it is asked for; a pipe without a writer does not wait."""
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    link = tmp_path / "link"
    link.symlink_to(file)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    over = tmp_path / "over"
    over.symlink_to(pipe)
    assert untrusted.read(str(file), 3) == b"abc"
    assert untrusted.read(str(link), 3, follow=True) == b"abc"
    with pytest.raises(ValueError, match="more than 2 bytes"):
        untrusted.read(str(file), 2)
    for path, follow in ((link, False), (pipe, False), (over, True), (tmp_path, False)):
        with pytest.raises(untrusted.NotRegularError) as caught:
            untrusted.read(str(path), 3, follow=follow)
        assert str(caught.value.strerror).startswith("it is a ")
    for name in ("a\0b", "\ud800"):
        with pytest.raises(OSError, match="no file can have that name"):
            untrusted.read(str(tmp_path / name), 3)


def test_what_was_seen_to_be_a_file_may_be_another_by_now(tmp_path: Path) -> None:
    """It is not looked at again before it is opened; whatever then lies there is still refused."""
    file, pipe, link = tmp_path / "file", tmp_path / "pipe", tmp_path / "link"
    file.write_bytes(b"[1]")
    os.mkfifo(pipe)
    link.symlink_to(file)
    assert untrusted.read_json(str(file), 3, seen=True) == [1]
    for path in (pipe, tmp_path):
        with pytest.raises(untrusted.NotRegularError, match="it is a "):
            untrusted.read(str(path), 3, seen=True)
    with pytest.raises(OSError, match=str(link)):
        untrusted.read(str(link), 3, seen=True)
    with pytest.raises(untrusted.NotRegularError, match="it is a pipe"):
        untrusted.first_hole(str(pipe))


def test_room_that_was_never_written_is_a_hole(tmp_path: Path) -> None:
    """Downloaders lay a file out with `fallocate`: it has all its blocks, and reads as zeros."""
    file = tmp_path / "file"
    block = 64 << 10
    with file.open("wb") as out:
        out.write(bytes(block))
        out.flush()
        if not hasattr(os, "posix_fallocate"):
            pytest.skip("this system lays no file out")
        os.posix_fallocate(out.fileno(), 0, 4 * block)
        os.fsync(out.fileno())
    assert file.stat().st_blocks * 512 >= file.stat().st_size == 4 * block
    assert untrusted.first_hole(str(file)) == block
    file.write_bytes(bytes(4 * block))
    assert untrusted.first_hole(str(file)) == 4 * block


def test_reading_keeps_the_access_time(tmp_path: Path) -> None:
    """Where the system allows it, which Linux does for the owner."""
    if not hasattr(os, "O_NOATIME"):
        pytest.skip("this system has no O_NOATIME")
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    os.utime(file, ns=(1, file.stat().st_mtime_ns))
    untrusted.read(str(file), 3)
    assert file.stat().st_atime_ns == 1


@pytest.mark.parametrize(
    "name", ["", "/a", "..", "a/../b", "a//b", "a/", "./a", "a\0", "\ud800", 5]
)
def test_a_name_that_leads_elsewhere_is_none(name: object) -> None:
    """Nor is what no file system takes."""
    assert not untrusted.below(name)


def test_a_name_below_its_folder_is_one() -> None:
    """With any letters that a file system takes."""
    assert all(untrusted.below(name) for name in ("a", "a/b.json", ".a", "ä/..b", "日本/語"))
