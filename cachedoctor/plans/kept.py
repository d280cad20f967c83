"""What keeps a model from being chosen for removal: lock files and the `keep` setting.

```
cachedoctor.toml                 keep = ["whisper.cpp:small"], in the user's own configuration only
<state folder>/locks/<16 hex>.lock   a copy of each lock file that was registered, with its path
<project>/*.lock                 lock files of the project that the command runs in
```

A lock file counts from `lock --register` until `--unregister`, even if the file itself is gone.
Anything that cannot be parsed stops every command that changes something: ignoring it could
lose a model.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import engines
from cachedoctor.errors import CacheDoctorError, UsageError
from cachedoctor.locators import inside
from cachedoctor.system import disk
from cachedoctor.text import printable
from cachedoctor.vocabulary import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host
    from cachedoctor.lockfile import Lock
    from cachedoctor.vocabulary import Entry

_ORIGIN = "# registered from "
_SNIFF_BYTES = 1 << 16


class Registered(NamedTuple):
    """A registered lock file: its original path, and the copy that counts."""

    origin: str
    copy: str


class Roots(NamedTuple):
    """Everything that keeps a model."""

    locks: tuple[tuple[str, Lock], ...] = ()  # the name of each, and what it demands
    names: tuple[str, ...] = ()  # from `keep`
    problems: tuple[str, ...] = ()  # what could not be understood

    def reasons(self, entry: Entry) -> tuple[str, ...]:
        """Return what keeps an entry; empty if nothing does."""
        found = [f"lock file `{title}`" for title, lock in self.locks if lock.of(entry)]
        found += [f"`keep` names `{name}`" for name in self.names if means(name, entry)]
        return tuple(dict.fromkeys(found))

    def require(self) -> None:
        """Raise `UsageError` if anything could not be understood."""
        if self.problems:
            raise UsageError(
                f"cannot tell what must be kept: {self.problems[0]}",
                hint="nothing was changed; correct it, or `cachedoctor lock --unregister` it",
            )


def roots(host: Host) -> Roots:
    """Read everything that keeps a model on `host`; raises no errors, see `Roots.require`."""
    problems = [f"{said_by}: {why}" for name, said_by in host.keep if (why := _wrong(name))]
    locks: dict[str, tuple[str, Lock]] = {}
    for title, path in (*_registered_files(host), *_project_files(host)):
        try:
            lock = _lock(path)
        except CacheDoctorError as error:
            problems.append(error.message)
        else:
            locks.setdefault(os.path.realpath(path), (host.short(title), lock))
    return Roots(tuple(locks.values()), tuple(name for name, _ in host.keep), tuple(problems))


def means(name: str, entry: Entry) -> bool:
    """Return whether a name means an entry: an id, `engine:model`, a repository or a path."""
    engine, colon, what = name.partition(":")
    if colon and engine in engines.names():
        table = engines.find(engine).table
        model = table.aliases.get(what, what)
        return any(
            claim.engine == engine and (claim.model == model or what in (*claim.sizes, "*"))
            for claim in entry.claims
        )
    if name.startswith(("/", "~")):
        place = os.path.realpath(os.path.expanduser(name))
        return inside(entry.path, place) or inside(place, entry.path)
    spelled = (entry.id, entry.id.partition("@")[0], entry.name)
    return name in spelled or name in map(printable, spelled)


def register(host: Host, path: str) -> Registered:
    """Register a lock file, so that it counts from now on; stores a copy in case the file goes.

    Raises what `locking.read` raises.
    """
    _lock(path)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    origin = os.path.realpath(path)
    copy = _copy_of(host, origin)
    disk.make_folders(os.path.dirname(copy))
    disk.remove_tree(copy)
    disk.write(copy, f"{_ORIGIN}{json.dumps(origin)}\n{text}".encode())
    return Registered(origin, copy)


def unregister(host: Host, path: str) -> Registered:
    """Unregister a lock file; raises `UsageError` for one that is not registered."""
    origin = os.path.realpath(path)
    copy = _copy_of(host, origin)
    if not os.path.lexists(copy):
        known = [one.origin for one in registered(host)]
        raise UsageError(
            f"`{path}` is not registered{nearest(origin, known)}",
            hint=f"registered: {', '.join(known) or 'none'}",
        )
    disk.remove_tree(copy)
    return Registered(origin, copy)


def registered(host: Host) -> tuple[Registered, ...]:
    """Return the registered lock files."""
    return tuple(Registered(title, path) for title, path in _registered_files(host))


def _lock(path: str) -> Lock:
    from cachedoctor import locking  # lazy: every scan gets here, and most machines have no lock

    return locking.read(path)


def _copy_of(host: Host, origin: str) -> str:
    import hashlib

    digest = hashlib.sha256(os.fsencode(origin)).hexdigest()
    return os.path.join(host.state, "locks", f"{digest[:16]}.lock")


def _registered_files(host: Host) -> Iterator[tuple[str, str]]:
    """Yield the original path and the stored copy of each registered lock file."""
    folder = os.path.join(host.state, "locks")
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        path = os.path.join(folder, name)
        if name.endswith(".lock"):
            yield _origin_of(path) or path, path


def _origin_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            line = file.readline(_SNIFF_BYTES)
        return str(json.loads(line.removeprefix(_ORIGIN)))
    except (OSError, ValueError):
        return ""


def _project_files(host: Host) -> Iterator[tuple[str, str]]:
    """Yield the lock files of models in the project and the current folder."""
    for folder in dict.fromkeys(filter(None, (host.project, host.cwd))):
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(".lock"))
        except OSError:
            continue
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and _is_ours(path):
                yield path, path


def _is_ours(path: str) -> bool:
    """Return whether a `.lock` file is about models; other tools use that suffix, too."""
    try:
        with open(path, "rb") as file:
            head = file.read(_SNIFF_BYTES)
    except OSError:
        return os.path.basename(path) == "models.lock"
    return b"[[model]]" in head or head.startswith(b"# Exact bytes of speech models")


def _wrong(name: str) -> str:
    """Return what is wrong with a name in `keep`, or an empty string."""
    engine, colon, what = name.partition(":")
    if not colon or name.startswith(("/", "~")):
        known = "/" in name
        return "" if known else f"`{name}` is not an `engine:model`, repository, id or path"
    try:
        table = engines.find(engine).table
        if what not in (*table.sizes, "*"):
            table.row(what)
    except UsageError as error:
        return error.message
    return ""
