"""Rules about the branches of hub repositories: 401, 402, 403, 418."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.findings import Circumstance, Severity
from cachedoctor.locators.hub_cache import BRANCH, COMMIT
from cachedoctor.rules._kinds import HubRule
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding, Repair
    from cachedoctor.locators.hub_cache import HubListing, Ref, Repository
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Entry, Root


class _RefRule(HubRule):
    """Base class for rules about the files below `refs/`."""

    status = Status.INCOMPLETE
    shows = Circumstance.BROKEN_REF
    manual = ("choose-revision", "printf", "%s", "COMMIT", ">", "{path}")

    def wrong(self, ref: Ref, repository: Repository) -> str:
        """Return what is wrong with `ref`, or an empty string."""
        raise NotImplementedError

    def within(self, listing: HubListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report each ref that is wrong in this way."""
        for repository, mine in seen.repositories(root):
            for ref in repository.refs:
                message = self.wrong(ref, repository)
                if message:
                    asked = ref.name == BRANCH
                    yield self.about(
                        ref.path,
                        mine,
                        f"`refs/{ref.name}` {message}",
                        severity=Severity.ERROR if asked else Severity.WARNING,
                        measured=repr(ref.text[:60]),
                        unit="text",
                    )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Write the one commit that the ref can mean."""
        from cachedoctor.repairs import hub

        return hub.rewrite_ref(finding, seen.survey) or super().cure(finding, seen)


class RefTrailingNewline(_RefRule):
    """A ref has white space around its commit.

    An editor, an `echo` or a tool that copied the cache added a newline. The hub client takes the
    text as it is, looks for a snapshot whose name ends in a newline, and finds none.

    `fix` writes the same commit without the white space.
    Source: huggingface/huggingface_hub issue 4133, pull requests 4168 and 4214 (closed).
    """

    code = "CD401"
    slug = "ref-trailing-newline"
    rank = 240

    def wrong(self, ref: Ref, repository: Repository) -> str:
        """Compare the text with its stripped form."""
        commit = ref.text.strip()
        if commit == ref.text or not COMMIT.fullmatch(commit):
            return ""
        return "has white space around its commit"


class RefEmpty(_RefRule):
    """A ref is empty, so the client takes the folder of all snapshots for the model.

    Clients up to 1.9 wrote refs in place: a full disk, or a kill at the wrong moment, left an empty
    file.

    `fix` writes the commit of the only complete snapshot.
    Source: huggingface_hub 2.4.0 `_snapshot_download.py`; 1.9.2 `file_download.py`.
    """

    code = "CD402"
    slug = "ref-empty"
    rank = 230
    silent_under = (Circumstance.DOWNLOADING,)

    def wrong(self, ref: Ref, repository: Repository) -> str:
        """Check that there is any text at all."""
        return "" if ref.text.strip() or ref.folder else "is empty"


class RefDangling(_RefRule):
    """A ref names a commit that has no snapshot.

    Somebody deleted the snapshot, or a download stopped right after the ref was written. Or there
    is no branch `main` at all, which engines ask for: somebody copied only the snapshots, renamed
    one to `main`, or downloaded one commit by its hash; asked for by that hash, it still loads.

    `fix` writes the commit of the only complete snapshot, or fetches the model if there is none.
    Source: huggingface_hub 2.4.0 `file_download.py` `_cache_commit_hash_for_specific_revision`.
    """

    code = "CD403"
    slug = "ref-dangling"
    by_commit = True
    rank = 250
    silent_under = (Circumstance.DOWNLOADING, Circumstance.CLOSED, Circumstance.GONE)

    def wrong(self, ref: Ref, repository: Repository) -> str:
        """Look for the snapshot; ignores a repository that the client only asked about."""
        commit = ref.text.strip()
        if not COMMIT.fullmatch(commit) or commit in repository.commits:
            return ""
        if not (repository.commits or repository.blobs or repository.partials):
            return ""  # asked for a file it lacks, or downloaded to another folder
        return f"names {commit[:12]}, which has no snapshot"

    def within(self, listing: HubListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report each ref that points nowhere, and each model that no branch points to."""
        yield from super().within(listing, root, seen)
        for folder, mine in seen.revisions(root).items():
            repository = listing.repositories[folder]
            asked = any(entry.claims for entry in mine) and repository.commits
            if asked and not repository.unreadable and not _has_main(repository):
                yield self._no_branch(repository, mine)

    def _no_branch(self, repository: Repository, mine: tuple[Entry, ...]) -> Finding:
        """Report a model without the branch that its engine asks for."""
        count = len(repository.commits)
        first = repository.commits[0]
        lead = f"{first[:12]}" if count == 1 else f"any of its {count} revisions"
        message = f"no branch `main` points to {lead}"
        if not any(map(COMMIT.fullmatch, repository.commits)):
            message = f"there is no branch `main`, and `snapshots/{first[:40]}` is not a commit"
        path = f"{repository.path}/refs/{BRANCH}"
        return self.about(
            path,
            mine,
            message,
            severity=Severity.WARNING,
            evidence="no branch points to it",
            leaves=Status.INCOMPLETE,  # asked for by its hash, it still loads
        )


def _has_main(repository: Repository) -> bool:
    """Return whether the branch that engines ask for exists, right or wrong."""
    return any(ref.name == BRANCH for ref in repository.refs)


class MalformedRef(_RefRule):
    """A ref holds something that is not a commit.

    It may be half a write, an error text, a folder of files that somebody put there, or a file that
    is not a ref at all. Only `main`, the branch that engines ask for, breaks a model; for any other
    branch this is a warning. Names that git refuses for a branch (`.DS_Store`, `main.lock`) are
    ignored.

    `fix` writes the commit of the only complete snapshot.
    Source: huggingface_hub 2.4.0 `file_download.py`.
    """

    code = "CD418"
    slug = "malformed-ref"
    rank = 220

    def wrong(self, ref: Ref, repository: Repository) -> str:
        """Check for 40 hex digits."""
        if ref.folder:
            return "is a folder"
        text = ref.text.strip()
        return "holds no commit" if text and not COMMIT.fullmatch(text) else ""
