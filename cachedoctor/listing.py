"""Ask the hub what files must be of which nothing here says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import fetch, staging
from cachedoctor.errors import FetchError
from cachedoctor.locators import FolderListing
from cachedoctor.vocabulary import Evidence, State, Survey

if TYPE_CHECKING:
    from collections.abc import Collection

    from cachedoctor.staging import Network
    from cachedoctor.vocabulary import Artifact, Entry, Root


class Question(NamedTuple):
    """A repository at a commit, and the folder in it that an entry is."""

    repository: str
    commit: str
    prefix: str = ""


class Asked(NamedTuple):
    """The survey with what the hub said, and the repositories that it said nothing of, and why."""

    survey: Survey
    failures: tuple[tuple[str, str], ...]


def ask(survey: Survey, wanted: Collection[str], network: Network) -> Asked:
    """Add the hub's digests to the files of the entries `wanted` that have none.

    Only exact commits are asked for: the branch of today says nothing of yesterday's files. One
    question a repository and commit. Raises `FetchError` where the network is forbidden.
    """
    staging.allowed(network)
    known: dict[Question, dict[str, fetch.Listed]] = {}
    failures: dict[str, str] = {}

    def answered(entry: Entry, root: Root) -> Entry:
        question = _question(entry, root) if entry.id in wanted else None
        if question is None:
            return entry
        asked = Question(question.repository, question.commit)
        if asked not in known:
            try:
                known[asked] = _listed(asked, network)
            except FetchError as error:
                failures[question.repository] = error.message
                known[asked] = {}
        return _with(entry, known[asked], question.prefix)

    roots = tuple(
        root._replace(entries=tuple(answered(entry, root) for entry in root.entries))
        for root in survey.roots
    )
    return Asked(Survey(roots), tuple(failures.items()))


def _question(entry: Entry, root: Root) -> Question | None:
    """Return what the hub could be asked about an entry, if it has files without a digest."""
    if not any(_is_open(artifact) for artifact in entry.artifacts):
        return None
    if entry.locator == "hub-cache":
        is_model = entry.revision and "/models--" in entry.path
        return Question(entry.name, entry.revision or "") if is_model else None
    if not entry.claims or not isinstance(root.listing, FolderListing):
        return None
    commits = {note.commit for note in root.listing.metadata.get(entry.id, {}).values()}
    claim = entry.claims[0]
    if len(commits) != 1 or not claim.repository:
        return None
    return Question(claim.repository, commits.pop(), claim.prefix)


def _is_open(artifact: Artifact) -> bool:
    return artifact.state is State.PRESENT and artifact.digest is None and not artifact.bundle


def _listed(question: Question, network: Network) -> dict[str, fetch.Listed]:
    listing = fetch.hub_listing(question.repository, question.commit, network.host, network.mirrors)
    return {file.path: file for file in listing.files}


def _with(entry: Entry, files: dict[str, fetch.Listed], prefix: str) -> Entry:
    """Add what the hub lists to the files that have no digest."""
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
