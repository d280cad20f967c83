"""Ask Core ML, through the bridges, whether it loads the bundles that are whole.

That a bundle loads is no proof of its bytes, and that it does not is none of damage; but only this
tells whether this Mac can run it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import bridge
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Entry, Progress

_TIMEOUT_S = 1800.0  # the first load after an update of macOS compiles everything again


def programs(host: Host) -> Mapping[str, str]:
    """Return the bridge of each engine that has one on a Mac: named with `--python`, or ours."""
    if host.platform != "darwin":
        return {}
    found = {name: host.pythons.get(name) or bridge.find(name) for name in bridge.programs()}
    return {name: program for name, program in found.items() if program}


def refused(
    host: Host,
    entries: Iterable[Entry],
    programs: Mapping[str, str],
    progress: Progress = SILENT,
) -> dict[str, str]:
    """Return why Core ML does not load it, by the path of each bundle that it refuses.

    Takes as long as loading each model does. What a bridge cannot be asked about, such as bundles
    that are not whole or a machine that is no Mac, is not in the answer.
    """
    asked = [
        (program, entry)
        for entry in entries
        for name, program in programs.items()
        if name in entry.engines and os.path.isdir(entry.path)
    ]
    found: dict[str, str] = {}
    if not asked:
        return found
    progress.start("Loading through Core ML", None)
    try:
        for program, entry in asked:
            found.update(_of(program, entry, host))
    finally:
        progress.finish()
    return found


def _of(program: str, entry: Entry, host: Host) -> dict[str, str]:
    try:
        said = bridge.ask(
            program,
            ["check", "--model-dir", entry.path],
            environment=bridge.environment(host.environment, host.home),
            timeout_s=_TIMEOUT_S,
        )
    except bridge.SilentError as error:
        return {entry.path: f"loading it {error.reason}"}
    except bridge.BridgeError:  # structure has said it already, or nothing here can
        return {}
    return {
        os.path.join(entry.path, each["bundle"]): f"Core ML refuses it: {each['message']}"
        for each in said["bundles"]
        if not each["ok"] and each["fault"] is None
    }
