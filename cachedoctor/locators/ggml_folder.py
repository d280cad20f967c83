"""Flat folders of GGML files, loaded by whisper.cpp and its bindings.

```
<folder>/ggml-<name>.bin                          also <name>.bin with a GGML header
<folder>/ggml-<name without quantisation>-encoder.mlmodelc/    read by builds with Core ML
<folder>/ggml-<name>.bin.downloading                           while the Ruby binding downloads

~/.local/share/pywhispercpp/models                pywhispercpp; an absolute XDG_DATA_HOME moves
~/Library/Application Support/pywhispercpp/models     it, with platformdirs 4.6 also on a Mac
~/AppData/Local/pywhispercpp/pywhispercpp/models  the same on Windows
~/whisper.cpp/models                              the download script, beside itself
~/.cache/whisper.cpp/huggingface.co/ggerganov/whisper.cpp/resolve/main      the Ruby binding, on a
                                                  Mac below ~/Library/Caches
~/.cache/whisper, ~/Library/Caches/whisper                the Java binding, and older programs
<project>/models, <project>/whisper.cpp/models
```

No client locks, resumes or verifies: each writes straight to the final name.
Source: pywhispercpp 1.5.1 `constants.py`, `utils.py`; ggml-org/whisper.cpp v1.9.3
`models/download-ggml-model.sh`, `bindings/ruby/lib/whisper/model/uri.rb`, `bindings/java`.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from cachedoctor.locators import At, FolderListing, ModelFolders, entry_id, evicted, is_litter
from cachedoctor.locators._contents import contents
from cachedoctor.locators._recognised import is_ggml, names
from cachedoctor.looking import quietly, untrusted
from cachedoctor.system import apps
from cachedoctor.vocabulary import Entry, Root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host
    from cachedoctor.locators import Leftover

_MAC_DATA = ("Library", "Application Support")
_ENCODER = "-encoder.mlmodelc"
_SUFFIX = len("-q5_1")
_STUBS = "for-tests-"  # test fixtures of whisper.cpp, beside the download script
_HEAD_BYTES = 64
_MAGIC = b"lmgg"
_AUDIO_CONTEXT = 1500  # of every Whisper model
_MELS = (80, 128)


def pywhispercpp_folder(host: Host) -> str:
    """Return the folder that pywhispercpp uses with current platformdirs."""
    data = host.environment.get("XDG_DATA_HOME", "").strip()
    if host.platform == "windows":
        return host.absolute(f"{host.home}/AppData/Local/pywhispercpp/pywhispercpp/models")
    if not os.path.isabs(data):
        mac = host.platform == "darwin"
        data = os.path.join(host.home, *_MAC_DATA) if mac else f"{host.home}/.local/share"
    return os.path.join(data, "pywhispercpp", "models")


class GgmlFolder(ModelFolders):
    """One file per model."""

    name = "ggml-folder"
    followed = True
    moved_by = "give the program the path {to}"
    title = "GGML files"
    single_file = True
    written_in_place = True
    packs_bundles = True

    def roots(self, host: Host) -> Iterator[str]:
        """Yield the folders of the bindings and scripts, and the project's."""
        home, mac = host.home, host.platform == "darwin"
        xdg = host.absolute(host.environment.get("XDG_CACHE_HOME") or f"{home}/.cache")
        caches = f"{home}/Library/Caches" if mac else xdg
        yield pywhispercpp_folder(host)
        if mac:
            yield os.path.join(home, *_MAC_DATA, "pywhispercpp", "models")
            yield f"{caches}/whisper"
        yield f"{home}/.local/share/pywhispercpp/models"
        yield f"{caches}/whisper.cpp"
        yield f"{caches}/whisper.cpp/huggingface.co/ggerganov/whisper.cpp/resolve/main"
        yield f"{xdg}/whisper"
        yield f"{home}/.cache/whisper"
        yield f"{home}/whisper.cpp/models"
        yield from (place.path for place in apps.places(host, self.name, apps.Shape.FILES))
        if host.project:
            yield os.path.join(host.project, "models")
            yield os.path.join(host.project, "whisper.cpp", "models")

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List the GGML files, each with its Core ML encoder, or only the files `wanted`."""
        entries: list[Entry] = []
        partials: dict[str, tuple[Leftover, ...]] = {}
        names = [evicted(name) or name for name in quietly.names(path) if not is_litter(name)]
        encoders = {name for name in names if name.endswith(_ENCODER)}
        begun = {n.removesuffix(".downloading") for n in names if n.endswith(".bin.downloading")}
        files = {
            n for n in names if n.endswith(".bin") and (n.startswith("ggml-") or _fits(path, n))
        }
        for name in sorted(files | begun):
            if wanted is not None and name not in wanted:
                continue
            key = entry_id(self.name, path, name)
            mine = {name, f"{name}.downloading", *(encoders & {encoder_of(name)})}
            mine |= {f".{each}.icloud" for each in mine}
            artifacts, left = contents(path, path, mine)
            place = os.path.join(path, name)
            entries.append(
                Entry(
                    id=key, locator=self.name, root=path, path=place, name=name, artifacts=artifacts
                )
            )
            partials[key] = left
        return Root(
            locator=self.name,
            path=path,
            entries=tuple(entries),
            listing=FolderListing(partials, {}),
        )

    def at(self, path: str) -> At | None:
        """Return `path` if it is a folder of such files, or its folder if it is such a file."""
        if os.path.isfile(path):
            folder, name = os.path.split(path)
            return At(folder, frozenset((name,))) if is_ggml(name) else None
        return At(path) if any(map(is_ggml, names(path))) else None


LOCATOR = GgmlFolder()


def _fits(folder: str, name: str) -> bool:
    """Return whether an unconventionally named file is a whisper.cpp model, by its first bytes."""
    if name.startswith(_STUBS):
        return False
    try:
        with untrusted.open_regular(os.path.join(folder, name), follow=True) as file:
            return begins_a_model(file.read(_HEAD_BYTES) or b"")
    except OSError:
        return False


def begins_a_model(head: bytes) -> bool:
    """Return whether a file that starts with `head` is a whisper.cpp model.

    Source: ggml-org/whisper.cpp v1.9.3 `src/whisper.cpp`.
    """
    if len(head) < 44 or not head.startswith(_MAGIC):
        return False
    _, context, *_, mels = struct.unpack_from("<10i", head, 4)
    return context == _AUDIO_CONTEXT and mels in _MELS


def encoder_of(name: str) -> str:
    """Return the Core ML encoder that whisper.cpp looks for beside a model file.

    Source: ggml-org/whisper.cpp v1.9.3 `src/whisper.cpp` `whisper_get_coreml_path_encoder`.
    """
    stem = name.removesuffix(".bin")
    quantised = len(stem) > _SUFFIX and stem[-_SUFFIX:-3] == "-q" and stem[-2] == "_"
    return (stem[:-_SUFFIX] if quantised else stem) + _ENCODER
