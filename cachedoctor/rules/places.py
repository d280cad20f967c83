"""Rules about places: those that are missing (110, 422) and those that are synced (511)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.findings import Circumstance, Severity
from cachedoctor.rules import RootRule
from cachedoctor.system import synced
from cachedoctor.vocabulary import State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding, Repair
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Artifact, Entry, Root


class PlaceGone(RootRule):
    """A link, a mount or a Finder alias points to a place that does not exist.

    The models are on another disk that is not connected, or that has another name now. The engine
    finds nothing and may download everything again, or write into an empty mount point. An alias is
    a file that only the Finder follows; no engine does, wherever it points.

    Connect the disk, or point the link at the models; replace an alias with a link made by `ln -s`.
    Nothing is fetched for models that may only be away.
    Source: lmstudio-ai/lmstudio-bug-tracker issue 97; divamgupta/diffusionbee-stable-diffusion-ui
    issue 531; Apple's description of aliases.
    """

    code = "CD110"
    slug = "place-gone"
    of_presence = True
    severity = Severity.WARNING
    status = mild_status = Status.UNKNOWN
    rank = 15
    unseen = True
    word = "gone"

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report broken links on the way to a root, a repository, a folder or a file."""
        if root.gone:
            yield self.about(
                root.gone,
                (),
                _why_gone(root.gone, root.aim, "the models' place"),
                root,
                engines=root.users,
                unit="folder",
                shows=Circumstance.GONE,
            )
        for repository, mine in seen.repositories(root):
            for path, stand in repository.lost:
                if not stand.is_text:
                    aim = stand.target or "a Finder alias"
                    message = _why_gone(path, aim, "the repository's folder")
                    yield self.about(path, mine, message, unit="folder", shows=Circumstance.GONE)
        for entry, artifact in _artifacts_in_state(root, State.GONE):
            what = f"`{artifact.name}`" if artifact.name else "the model's folder"
            message = _why_gone(artifact.path, artifact.detail, what)
            yield self.of(
                artifact,
                entry,
                message,
                severity=self.severity,
                unit="folder",
                shows=Circumstance.GONE,
            )


class LinkAsText(RootRule):
    """A link was saved as a small file that holds its target.

    Zip programs, servers of other systems, SMB, Samba and Cygwin do this when a cache is copied.
    The engine opens the file and finds a path, or half a kilobyte that begins with `XSym`, where
    its model should be.

    `fix` turns such files back into links if their targets are here; nothing is downloaded for
    that. Copy a cache with `cachedoctor pack`, `rsync -a` or `tar`, which keep links.
    Source: huggingface/huggingface_hub issue 4022; Apple's SMB client (`XSym`); Cygwin's
    `path.cc` (`!<symlink>`).
    """

    code = "CD422"
    slug = "link-as-text"
    status = mild_status = Status.INCOMPLETE
    rank = 25

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report each such file, also one that replaces a link to a folder."""
        if root.text:
            yield self.about(
                root.text,
                (),
                f"was a link to `{root.aim}` but is a file now",
                root,
                engines=root.users,
                unit="folder",
                shows=Circumstance.GONE,
            )
        for repository, mine in seen.repositories(root):
            for path, stand in repository.lost:
                if stand.is_text:
                    name = os.path.basename(path)
                    message = f"`{name}` was a link to `{stand.target}` but is a file now"
                    yield self.about(path, mine, message, unit="folder", shows=Circumstance.GONE)
        for entry, artifact in _artifacts_in_state(root, State.TEXT):
            what = f"`{artifact.name}`" if artifact.name else "the model's folder"
            message = f"{what} was a link to `{artifact.detail}` but is a file now"
            unit, shows = (None, None) if artifact.name else ("folder", Circumstance.GONE)
            yield self.of(artifact, entry, message, unit=unit, shows=shows)

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Turn it back into a link, or restore the file that it led to."""
        from cachedoctor import repairs
        from cachedoctor.repairs import links

        return links.relink_text(finding, seen.survey) or repairs.restore(finding, seen.survey)


class SyncedFolder(RootRule):
    """The models are in a folder that a service copies elsewhere: iCloud, OneDrive, Dropbox.

    Every model is uploaded, and the service may remove the content from this disk (CD107), lock
    files while they are written, or create conflicting copies. On a Mac, Documents and the desktop
    are such folders once iCloud syncs them; WhisperKit's default place is in Documents.

    The finding names the command that excludes this folder. Or choose another place for the models.
    Source: Apple's `.nosync`; Dropbox's `com.dropbox.ignored`; digimata/parrot issue 12;
    tmutil(8) for Time Machine.
    """

    code = "CD511"
    slug = "synced-folder"
    severity = Severity.NOTE

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report each place with models that a service copies, in one finding."""
        if not root.entries:
            return
        home = seen.host.home
        service = synced.service_of(root.path, home, seen.host.platform)
        if service:
            message = f"{service} copies this folder elsewhere"
            mine = tuple(entry for entry in root.entries if entry.claims) or root.entries
            size = sum(sum(entry.sizes.values()) for entry in root.entries)
            yield self.about(
                root.path, mine, message, evidence=service, measured=size, unit="bytes"
            )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Return the command that excludes the folder from the service."""
        from cachedoctor import repairs

        service = finding.evidence or ""
        return repairs.manual(
            "leave-out", *synced.command(service, finding.path, seen.host.platform)
        )


def _why_gone(path: str, aim: str, what: str) -> str:
    if aim == path:
        return f"{what} is on `{path}`, which is not connected"
    if aim.startswith("an alias"):
        return f"{what} is {aim}, which no engine follows"
    return f"{what} is a link to `{aim}`, which does not exist"


def _artifacts_in_state(root: Root, state: State) -> Iterator[tuple[Entry, Artifact]]:
    for entry in root.entries:
        for artifact in entry.notable:
            if artifact.state is state:
                yield entry, artifact
