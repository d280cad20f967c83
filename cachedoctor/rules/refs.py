"""Rules about the branches of hub repositories: 401, 402, 403, 418."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.findings import Circumstance
from cachedoctor.locators.hub_cache import COMMIT, HubListing
from cachedoctor.rules import RootRule
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding, Repair
    from cachedoctor.locators._repository import Ref, Repository
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Root


class _RefRule(RootRule):
    """What the rules about the files below `refs/` share."""

    status = Status.INCOMPLETE
    shows = Circumstance.BROKEN_REF
    manual = ("choose-revision", "printf", "%s", "COMMIT", ">", "{path}")

    def wrong(self, ref: Ref, repository: Repository) -> str:
        """Return what is wrong with `ref`, or empty."""
        raise NotImplementedError

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report each ref that is wrong in this way."""
        if isinstance(root.listing, HubListing):
            revisions = seen.revisions(root)
            for repository in root.listing.repositories.values():
                for ref in repository.refs:
                    message = self.wrong(ref, repository)
                    if message:
                        mine = revisions.get(repository.path, ())
                        yield self.about(
                            ref.path,
                            mine,
                            f"`refs/{ref.name}` {message}",
                            measured=repr(ref.text[:60]),
                            unit="text",
                        )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Write the one commit it can mean."""
        from cachedoctor.repairs import hub

        return hub.rewrite_ref(finding, seen.survey) or super().cure(finding, seen)


class RefTrailingNewline(_RefRule):
    """A ref holds a commit and white space after it.

    An editor, an `echo` or a tool that copied the cache added the newline. The hub client takes the
    text as it is, looks for a snapshot whose name ends in a newline, and finds none.

    `fix` writes the same commit without it.
    Source: huggingface/huggingface_hub issue 4133, pull requests 4168 and 4214 (closed).
    """

    code = "CD401"
    slug = "ref-trailing-newline"
    rank = 240

    def wrong(self, ref: Ref, repository: Repository) -> str:
        """Compare the text with itself stripped."""
        commit = ref.text.strip()
        if commit == ref.text or not COMMIT.fullmatch(commit):
            return ""
        return "has white space around its commit"


class RefEmpty(_RefRule):
    """A ref is empty, so the client takes the folder of all snapshots for the model.

    Clients up to 1.9 wrote refs in place: a full disk or a kill at the wrong moment left nothing.

    `fix` writes the commit of the only complete snapshot.
    Source: huggingface_hub 2.4.0 `_snapshot_download.py`; 1.9.2 `file_download.py`.
    """

    code = "CD402"
    slug = "ref-empty"
    rank = 230
    silent_under = (Circumstance.DOWNLOADING,)

    def wrong(self, ref: Ref, repository: Repository) -> str:
        """Look for any text at all."""
        return "" if ref.text.strip() else "is empty"


class RefDangling(_RefRule):
    """A ref names a commit of which there is no snapshot.

    The snapshot was deleted by hand, or a download stopped right after the ref was written.

    `fix` writes the commit of the only complete snapshot, or fetches the model when there is none.
    Source: huggingface_hub 2.4.0 `file_download.py` `_cache_commit_hash_for_specific_revision`.
    """

    code = "CD403"
    slug = "ref-dangling"
    rank = 250
    silent_under = (Circumstance.DOWNLOADING, Circumstance.CLOSED)

    def wrong(self, ref: Ref, repository: Repository) -> str:
        """Look for the snapshot; a repository with none at all is the other rule's."""
        commit = ref.text.strip()
        if not COMMIT.fullmatch(commit) or commit in repository.commits:
            return ""
        if not (repository.commits or repository.blobs or repository.partials):
            return ""  # only asked: for a file it lacks, or for a download to another folder
        return f"names {commit[:12]}, of which there is no snapshot"


class MalformedRef(_RefRule):
    """A ref holds something that is no commit.

    Half a write, an error text, or a file that is no ref at all.

    `fix` writes the commit of the only complete snapshot.
    Source: huggingface_hub 2.4.0 `file_download.py`.
    """

    code = "CD418"
    slug = "malformed-ref"
    rank = 220

    def wrong(self, ref: Ref, repository: Repository) -> str:
        """Compare with 40 hex digits."""
        text = ref.text.strip()
        return "holds no commit" if text and not COMMIT.fullmatch(text) else ""
