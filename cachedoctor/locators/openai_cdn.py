"""Files from OpenAI's CDN, whose URLs contain their SHA-256.

```
~/.cache/whisper/<name>.pt            whisper-mps, and openai-whisper unless XDG_CACHE_HOME is set
$XDG_CACHE_HOME/whisper/<name>.pt     openai-whisper alone
<project>/models/<name>.pt            either, given `download_root`
```

The client writes straight to the final name, without locking or resuming.
Source: openai-whisper 20250625 `__init__.py` `load_model`, `_download`; whisper-mps 0.0.10
`whisper/load_models.py`, which ignores XDG_CACHE_HOME.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import At, Locator, entry_id, evicted, is_litter, look
from cachedoctor.locators._recognised import is_checkpoint, names
from cachedoctor.looking import quietly, untrusted
from cachedoctor.system import apps
from cachedoctor.vocabulary import Artifact, Entry, Root, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host


_END_BYTES = 22  # of a zip's end record without a comment


def home_folder(host: Host) -> str:
    """Return the folder that whisper-mps always uses."""
    return os.path.join(host.home, ".cache", "whisper")


def xdg_folder(host: Host) -> str:
    """Return the folder that openai-whisper uses; `~` and `$NAME` are not expanded in it."""
    cache = host.environment.get("XDG_CACHE_HOME", os.path.join(host.home, ".cache"))
    return host.absolute(os.path.join(cache, "whisper"))


def in_project(entry: Entry, host: Host, size_bytes: int) -> bool:
    """Return whether `entry` is in the project's `models/`, a possible `download_root`.

    There, a complete file whose length is not `size_bytes` is somebody's own checkpoint.
    """
    if not host.project or entry.root != os.path.realpath(f"{host.project}/models"):
        return False
    (artifact,) = entry.artifacts
    return artifact.size_bytes == size_bytes or not _ends_whole(artifact)


def _ends_whole(artifact: Artifact) -> bool:
    """Return whether a zip's end record is in place; reads 22 bytes."""
    if artifact.state is not State.PRESENT or artifact.size_bytes < _END_BYTES:
        return False
    try:
        with untrusted.open_regular(artifact.file, follow=True) as file:
            file.seek(-_END_BYTES, os.SEEK_END)
            return file.read(4) == b"PK\x05\x06"
    except OSError:
        return False


class OpenAICdn(Locator[None]):
    """A flat folder of `<name>.pt`."""

    name = "openai-cdn"
    followed = True
    moved_by = "pass `download_root={to}`"
    title = "OpenAI files"
    single_file = True
    written_in_place = True

    def roots(self, host: Host) -> Iterator[str]:
        """Yield the two default folders and the project's."""
        yield home_folder(host)
        yield xdg_folder(host)
        yield from (place.path for place in apps.places(host, self.name))
        if host.project:
            yield os.path.join(host.project, "models")

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List the `.pt` files, or only the files `wanted`."""
        entries = []
        for listed in quietly.names(path):
            away = evicted(listed)
            name = away or listed
            if is_litter(name) or not name.endswith(".pt"):
                continue
            if wanted is None or name in wanted:
                found = look(os.path.join(path, name), path)
                if away:
                    found = found._replace(state=State.EVICTED)
                artifact = Artifact(
                    name=name,
                    path=os.path.join(path, name),
                    file=found.file,
                    state=found.state,
                    stamp=found.stamp,
                    size_bytes=found.stamp.size_bytes if found.stamp else 0,
                    detail=found.detail,
                    outside=found.outside,
                )
                entries.append(
                    Entry(
                        id=entry_id(self.name, path, name),
                        locator=self.name,
                        root=path,
                        path=artifact.path,
                        name=name,
                        artifacts=(artifact,),
                    )
                )
        return Root(locator=self.name, path=path, entries=tuple(entries))

    def at(self, path: str) -> At | None:
        """Return the folder that holds such files, or in which `path` is one."""
        if os.path.isfile(path):
            folder, name = os.path.split(path)
            return At(folder, frozenset((name,))) if is_checkpoint(name) else None
        return At(path) if any(map(is_checkpoint, names(path))) else None


LOCATOR = OpenAICdn()
