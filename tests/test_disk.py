"""Every change of the disk refuses to replace, survives odd names, and leaves whole or nothing."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cachedoctor.errors import RepairError
from cachedoctor.system import disk, in_use
from tests.conftest import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534
ODD = os.fsdecode(b"caf\xe9\xff")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")


def in_child(
    action: Callable[[], object], *, nobody: bool = False, largest_bytes: int | None = None
) -> str:
    """Run `action` in a forked process; returns the name of what it raised, or empty.

    `nobody` drops root's power to ignore modes; `largest_bytes` is as much as a file may grow.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        raised = "something else"
        try:
            if largest_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, largest_bytes))
            if nobody and os.getuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            action()
            raised = ""
        except (OSError, RepairError) as error:
            raised = type(error).__name__
        finally:
            os.write(writing, raised.encode())
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="ascii") as pipe:
        raised = pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return raised


class Counted:
    """A `Progress` that adds up."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.bytes = 0

    def start(self, label: str, total_bytes: int | None) -> None:
        """Count nothing."""

    def advance(self, done_bytes: int) -> None:
        """Count."""
        self.bytes += done_bytes

    def finish(self) -> None:
        """Count nothing."""


@pytest.fixture
def shared() -> Iterator[Path]:
    """Give a folder that another user may reach, unlike pytest's."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on another file system."""
    if not os.path.isdir("/dev/shm") or disk.same_file_system("/dev/shm", str(tmp_path)):
        pytest.skip("there is no second file system")
    place = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield place
    shutil.rmtree(place)


def test_stamp_is_of_the_name_itself(tmp_path: Path) -> None:
    """A link has its own stamp, and nothing, also below a file, has none."""
    (tmp_path / "file").write_bytes(b"four")
    (tmp_path / "link").symlink_to("file")
    found = disk.stamp(str(tmp_path / "link"))
    assert found is not None
    assert found.inode == os.lstat(tmp_path / "link").st_ino
    assert disk.stamp(str(tmp_path / "nothing")) is None
    assert disk.stamp(str(tmp_path / "file" / "below")) is None


def test_rename_moves_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    """Bytes, modes and times go along, whatever the name is made of."""
    source, target = tmp_path / ODD, tmp_path / "new"
    source.mkdir()
    (source / ODD).write_bytes(b"inside")
    os.utime(source, ns=(10**18, 10**18))
    before = fingerprint(source)
    disk.rename(str(source), str(target))
    assert fingerprint(target) == before
    assert not os.path.lexists(source)


@pytest.mark.parametrize("library", ["the kernel's way", "an old C library"])
@pytest.mark.parametrize("there", ["file", "dangling link", "empty folder"])
def test_rename_never_replaces(
    there: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is at the target, even a dangling link or an empty folder, stops a rename."""
    if library == "an old C library":
        monkeypatch.setattr(ctypes, "CDLL", lambda *_a, **_k: object())
    source, target = tmp_path / "source", tmp_path / "target"
    if there == "empty folder":
        source.mkdir()
        target.mkdir()
    else:
        source.write_bytes(b"source")
        if there == "file":
            target.write_bytes(b"target")
        else:
            target.symlink_to("nowhere")
    before = fingerprint(tmp_path)
    with pytest.raises(FileExistsError):
        disk.rename(str(source), str(target))
    assert fingerprint(tmp_path) == before


def test_rename_works_with_an_old_c_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A C library without an exclusive rename is no reason to give up."""
    monkeypatch.setattr(ctypes, "CDLL", lambda *_a, **_k: object())
    (tmp_path / "source").write_bytes(b"source")
    disk.rename(str(tmp_path / "source"), str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == b"source"


def test_rename_in_a_folder_that_cannot_be_written_changes_nothing(shared: Path) -> None:
    """The operating system's refusal is passed on, and both names are as they were."""
    (shared / "source").write_bytes(b"source")
    shared.chmod(0o555)
    raised = in_child(lambda: disk.rename(f"{shared}/source", f"{shared}/target"), nobody=True)
    assert raised == "PermissionError"
    assert os.listdir(shared) == ["source"]


def test_link_holds_its_text_and_never_replaces(tmp_path: Path) -> None:
    """A link says exactly what it was told to, and is not put over another."""
    path = tmp_path / ODD
    disk.link(str(path), f"../{ODD}")
    assert os.readlink(path) == f"../{ODD}"
    with pytest.raises(FileExistsError):
        disk.link(str(path), "other")


def test_make_folder_says_whether_it_made_it(tmp_path: Path) -> None:
    """A folder that is there is left alone; a file in its place is an error."""
    assert disk.make_folder(str(tmp_path / "new"))
    assert not disk.make_folder(str(tmp_path / "new"))
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        disk.make_folder(str(tmp_path / "file"))
    disk.make_folders(str(tmp_path / "one" / ODD / "three"))
    assert (tmp_path / "one" / ODD / "three").is_dir()


def test_remove_folder_removes_only_an_empty_one(tmp_path: Path) -> None:
    """A folder with something in it stays."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "full" / "inside").mkdir(parents=True)
    disk.remove_folder(str(tmp_path / "empty"))
    with pytest.raises(OSError, match="not empty"):
        disk.remove_folder(str(tmp_path / "full"))
    assert (tmp_path / "full" / "inside").is_dir()
    assert not (tmp_path / "empty").exists()


def test_write_makes_only_new_files(tmp_path: Path) -> None:
    """What is there, even as a link to nowhere, is never written over or through."""
    disk.write(str(tmp_path / ODD), b"new")
    assert (tmp_path / ODD).read_bytes() == b"new"
    (tmp_path / "link").symlink_to("nowhere")
    for name in (ODD, "link"):
        with pytest.raises(FileExistsError):
            disk.write(str(tmp_path / name), b"other")
    assert not (tmp_path / "nowhere").exists()


def test_what_does_not_fit_is_whole_or_absent(tmp_path: Path) -> None:
    """A full disk leaves no part of a written or copied file behind."""
    source = tmp_path / "source"
    source.write_bytes(bytes(5000))
    target = str(tmp_path / "target")
    assert in_child(lambda: disk.write(target, bytes(5000)), largest_bytes=4096) == "OSError"
    assert not os.path.lexists(target)
    if not _shares_blocks(tmp_path):
        assert in_child(lambda: disk.copy(str(source), target), largest_bytes=4096) == "OSError"
        assert not os.path.lexists(target)


def _shares_blocks(folder: Path) -> bool:
    (folder / "first").write_bytes(bytes(4096))
    with (
        open(folder / "first", "rb") as first,
        open(folder / "second", "wb") as second,
        contextlib.suppress(OSError),
    ):
        fcntl.ioctl(second, 0x40049409, first.fileno())
        return True
    return False


def test_append_is_whole_or_an_error(tmp_path: Path) -> None:
    """A line of which the kernel took only a part is never taken for written."""
    path = tmp_path / "journal"
    path.write_bytes(b"one\n")
    raised = in_child(lambda: disk.append(str(path), b"a long line\n"), largest_bytes=8)
    assert raised == "OSError"
    assert path.read_bytes() == b"one\na lo"


def test_append_begins_a_line_after_a_torn_one(tmp_path: Path) -> None:
    """The rest of a line that a crash tore does not spoil the next."""
    path = tmp_path / "journal"
    path.write_bytes(b'{"torn')
    disk.append(str(path), b"{}\n")
    assert path.read_bytes() == b'{"torn\n{}\n'


def test_append_does_not_write_through_a_link(tmp_path: Path) -> None:
    """A link in the journal's place leads to no file of somebody else's."""
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "journal").symlink_to("precious")
    with pytest.raises(OSError, match="symbolic link"):
        disk.append(str(tmp_path / "journal"), b"{}\n")
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_copy_dereferences_and_keeps_the_time(tmp_path: Path) -> None:
    """A link is copied as the file behind it, with its time and a mode that can be written."""
    blob = tmp_path / "blob"
    blob.write_bytes(os.urandom(100_000))
    blob.chmod(0o400)
    os.utime(blob, ns=(10**18, 10**18 + 7))
    (tmp_path / ODD).symlink_to("blob")
    counted = Counted()
    disk.copy(str(tmp_path / ODD), str(tmp_path / "copy"), counted)
    found = os.lstat(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == blob.read_bytes()
    assert found.st_mtime_ns == 10**18 + 7
    assert found.st_mode & 0o777 == 0o644 & ~_umask()
    assert counted.bytes == 100_000


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_copy_crosses_file_systems(tmp_path: Path, elsewhere: Path) -> None:
    """Where the kernel cannot share or copy, bytes are read and written, over more than a chunk."""
    content = os.urandom(1 << 20) * 9
    (elsewhere / "source").write_bytes(content)
    counted = Counted()
    disk.copy(str(elsewhere / "source"), str(tmp_path / "copy"), counted)
    assert (tmp_path / "copy").read_bytes() == content
    assert counted.bytes == len(content)


def test_copy_never_replaces_nor_takes_what_is_no_file(tmp_path: Path) -> None:
    """A pipe does not hang a copy, and neither it nor a folder makes a target."""
    (tmp_path / "file").write_bytes(b"file")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError):
        disk.copy(str(tmp_path / "file"), str(tmp_path / "folder"))
    for name in ("pipe", "folder", "missing"):
        with pytest.raises(OSError, match=r"not a regular file|No such file"):
            disk.copy(str(tmp_path / name), str(tmp_path / "target"))
    assert not os.path.lexists(tmp_path / "target")


def test_remove_tree_follows_no_link(tmp_path: Path) -> None:
    """Links, at the top and below, are removed, and what they lead to is not."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "tree" / ODD).mkdir(parents=True)
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    for name in ("tree", "link", "nothing"):
        disk.remove_tree(str(tmp_path / name))
    assert (tmp_path / "precious" / "file").exists()
    assert not os.path.lexists(tmp_path / "tree")
    assert not os.path.lexists(tmp_path / "link")


def test_remove_tree_manages_folders_that_may_only_be_read(shared: Path) -> None:
    """A cache unpacked from an archive may have such; whose they are may remove them."""

    def build() -> None:
        (shared / "tree" / "locked").mkdir(parents=True)
        (shared / "tree" / "locked" / "file").write_bytes(b"x")
        (shared / "tree" / "locked").chmod(0o555)
        (shared / "tree").chmod(0o500)
        disk.remove_tree(str(shared / "tree"))

    shared.chmod(0o777)
    assert in_child(build, nobody=True) == ""
    assert list(shared.iterdir()) == []


def test_restore_times_gives_back_mode_and_time(tmp_path: Path) -> None:
    """A folder gets exactly the mode and the nanosecond that it had."""
    disk.restore_times(str(tmp_path), 0o750, 10**18 + 3)
    found = tmp_path.stat()
    assert found.st_mode & 0o777 == 0o750
    assert found.st_mtime_ns == 10**18 + 3


def test_free_bytes_are_what_a_user_may_write(tmp_path: Path) -> None:
    """Room is counted in bytes and leaves out what is reserved for root."""
    found = os.statvfs(tmp_path)
    assert 0 < disk.free_bytes(str(tmp_path)) <= found.f_blocks * found.f_frsize


def test_two_file_systems_are_told_apart(tmp_path: Path, elsewhere: Path) -> None:
    """A rename is possible within one file system only."""
    assert disk.same_file_system(str(tmp_path), str(tmp_path.parent))
    assert not disk.same_file_system(str(tmp_path), str(elsewhere))


@linux_only
def test_bind_mounts_count_as_two_file_systems(tmp_path: Path) -> None:
    """Two mounts of one file system show the same device and refuse a rename all the same."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    asked = (
        "import sys; from cachedoctor.system import disk; "
        "print(disk.same_file_system(*sys.argv[1:]))"
    )
    script = 'mount --bind "$1" "$2" && exec "$3" -c "$4" "$1" "$2"'
    places = (str(tmp_path / "one"), str(tmp_path / "two"))
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *places, sys.executable, asked],
        env={**os.environ, "PYTHONPATH": str(Path(disk.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("this user may not mount")
    assert done.stdout == "False\n"


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    """A held lock is seen undisturbed, refuses a second holder, and ends with its body."""
    path = str(tmp_path / f"{ODD}.lock")
    assert in_use.lock_held(path) is None
    with in_use.hold_lock(path):
        assert in_use.lock_held(path) is True
        with pytest.raises(RepairError, match="somebody else holds"), in_use.hold_lock(path):
            pass
        assert in_use.lock_held(path) is True
    before = fingerprint(tmp_path)
    assert in_use.lock_held(path) is False
    assert fingerprint(tmp_path) == before
    with in_use.hold_lock(path):
        pass


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    """A process that ends without letting go holds nothing."""
    path = str(tmp_path / "lock")
    assert in_child(lambda: in_use.hold_lock(path).__enter__()) == ""
    assert in_use.lock_held(path) is False


def test_what_is_no_lock_file_is_not_asked(tmp_path: Path) -> None:
    """Pipes, links and folders are never taken for locks."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path):
        assert in_use.lock_held(str(path)) is None
    with (
        pytest.raises(RepairError, match="cannot be locked"),
        in_use.hold_lock(f"{tmp_path}/link"),
    ):
        pass


def test_a_lock_that_cannot_be_read_is_unknown(shared: Path) -> None:
    """Unreadable is neither held nor free, and holding it is refused in words."""
    (shared / "lock").touch()
    (shared / "lock").chmod(0)

    def look() -> None:
        assert in_use.lock_held(f"{shared}/lock") is None
        with in_use.hold_lock(f"{shared}/lock"):
            pass

    assert in_child(look, nobody=True) == "RepairError"


def test_files_open_elsewhere_are_seen(tmp_path: Path) -> None:
    """Another process's open file is seen under all its names; our own are not counted."""
    names = ("open", "hard-link", "own", "closed")
    opened, hard_link, own, closed = (str(tmp_path / name) for name in names)
    for path in (opened, own, closed):
        Path(path).touch()
    os.link(opened, hard_link)
    with (
        open(own, "rb"),
        open(opened, "rb") as held,
        subprocess.Popen(["sleep", "60"], stdin=held) as other,
    ):
        seen = in_use.Open().of((opened, hard_link, own, closed, f"{tmp_path}/missing"))
        other.kill()
    if sys.platform == "linux":
        assert seen == {opened, hard_link}
    else:
        assert seen is not None
        assert opened in seen
    assert in_use.Open().of((opened,)) == set()


def test_every_change_passes_the_boundary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The crash harness is told of each change before it is made, and of no mere look."""
    told: list[str] = []
    monkeypatch.setattr(disk, "boundary", told.append)
    place = str(tmp_path)
    disk.write(f"{place}/a", b"")
    disk.append(f"{place}/a", b"line\n")
    disk.copy(f"{place}/a", f"{place}/b")
    disk.rename(f"{place}/b", f"{place}/c")
    disk.link(f"{place}/d", "c")
    disk.make_folder(f"{place}/e")
    disk.restore_times(f"{place}/e", 0o755, 1)
    disk.remove_folder(f"{place}/e")
    disk.remove_tree(f"{place}/d")
    expected = "write append copy rename link make-folder restore-times remove-folder remove"
    assert told == expected.split()
    disk.stamp(place)
    disk.free_bytes(place)
    in_use.lock_held(f"{place}/a")
    in_use.Open().of((f"{place}/a",))
    assert told == expected.split()
