"""Ask the hub for the digests of files without local evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import locators
from cachedoctor.errors import FetchError
from cachedoctor.system.network import allowed
from cachedoctor.vocabulary import Evidence, State, Survey

if TYPE_CHECKING:
    from collections.abc import Collection

    from cachedoctor.locators import Origin
    from cachedoctor.system import fetch
    from cachedoctor.system.network import Network
    from cachedoctor.vocabulary import Artifact, Entry, Root


class Asked(NamedTuple):
    """The survey with the hub's digests, and each repository it did not answer for, with why."""

    survey: Survey
    failures: tuple[tuple[str, str], ...]


def ask(survey: Survey, wanted: Collection[str], network: Network) -> Asked:
    """Add the hub's digests to the files without one in the `wanted` entries.

    Asks for exact commits only: today's branch says nothing about yesterday's files. Makes one
    request per repository and commit. Raises `FetchError` if the network is forbidden.
    """
    allowed(network)
    known: dict[Origin, dict[str, fetch.Listed]] = {}
    failures: dict[str, str] = {}

    def answered(entry: Entry, root: Root) -> Entry:
        origin = _origin(entry, root) if entry.id in wanted else None
        if origin is None:
            return entry
        asked = origin._replace(prefix="")
        if asked not in known:
            try:
                listing = hub.listing(asked.repository, asked.commit)
                known[asked] = {file.path: file for file in listing.files}
            except FetchError as error:
                failures[origin.repository] = error.message
                known[asked] = {}
        return _with(entry, known[asked], origin.prefix)

    with network.hub() as hub:
        roots = tuple(
            root._replace(entries=tuple(answered(entry, root) for entry in root.entries))
            for root in survey.roots
        )
    return Asked(survey.with_roots(roots), tuple(failures.items()))


def _origin(entry: Entry, root: Root) -> Origin | None:
    """Return where the hub has an entry's files, if any of them lacks a digest."""
    if root.listing is None or not any(_is_open(artifact) for artifact in entry.artifacts):
        return None
    return locators.of(root).origin(entry, root.listing)


def _is_open(artifact: Artifact) -> bool:
    return artifact.state is State.PRESENT and artifact.digest is None and not artifact.bundle


def _with(entry: Entry, files: dict[str, fetch.Listed], prefix: str) -> Entry:
    """Add the hub's digests and sizes to the files that have no digest."""
    return entry._replace(
        artifacts=tuple(
            artifact._replace(
                digest=files[prefix + artifact.name].digest,
                expected_bytes=files[prefix + artifact.name].bytes,
                evidence=Evidence.LISTING,
            )
            if _is_open(artifact) and prefix + artifact.name in files
            else artifact
            for artifact in entry.artifacts
        )
    )
