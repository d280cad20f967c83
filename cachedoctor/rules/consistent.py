"""Rules about things that must agree with each other: 4xx."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.errors import FormatError
from cachedoctor.findings import Circumstance, Severity
from cachedoctor.formats import find
from cachedoctor.locators import inside, listed
from cachedoctor.locators.hub_cache import HubCache
from cachedoctor.looking import untrusted
from cachedoctor.rules import EntryRule, Restores
from cachedoctor.rules._entries import missing, other_layout, span
from cachedoctor.vocabulary import WEIGHTS, State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding, Repair
    from cachedoctor.locators import Layout
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Artifact, Claim, Entry

_CONFIG_LIMIT_BYTES = 1 << 20


class LinkEscapesRoot(EntryRule):
    """A link points outside the cache.

    Somebody moved a file or a folder to another disk and linked it. Engines follow such links, so
    the bytes behind them are read and checked like any others. Nothing is written, renamed or
    removed there: a repair would set the link aside and put a file into the cache in its place, and
    it would not touch anything behind a linked folder.

    There is nothing to do as long as the link's target stays where it is.
    Source: every engine here opens its files by name, following links.
    """

    code = "CD406"
    slug = "link-escapes-root"
    severity = Severity.NOTE
    rank = 260

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report all such links of an entry in one finding, with where they lead."""
        linked = _linked_folders(entry, seen)
        outside = [a for a in entry.notable if a.outside]
        if linked:
            path, target = linked[0]
            message = f"`{os.path.basename(path)}` is a link to `{target}`"
            yield self.about(path, (entry,), message, links=tuple(p for p, _ in linked[1:]))
        elif outside:
            first, *more = outside
            others = f" and {len(more)} more" if more else ""
            message = f"`{first.name}`{others} points outside the cache, to `{first.outside}`"
            links = tuple(artifact.path for artifact in more)
            yield self.about(first.path, (entry,), message, links=links)


class RenamedFolder(EntryRule):
    """The model is in the folder that older versions of the engine used.

    FluidAudio 0.13.4 dropped `-coreml` from its folder names without moving anything: the new
    version downloads everything again and the old copy stays. Versions up to 0.13.2 look only in
    the old folder, and would download again after a rename: if you still have an app with such a
    version, pass `--engine-version fluidaudio=0.13.2`, and this is not reported.

    A folder in an app's own container is not reported either: that app carries the version that
    reads it.

    `fix` renames the folder. If both names exist, the new one counts and the old one is waste.
    Source: FluidInference/FluidAudio pull request 453 (v0.13.4).
    """

    code = "CD410"
    slug = "renamed-folder"
    severity = Severity.WARNING
    waste = True
    rank = 300
    cure_order = 1  # after everything inside the folder is right

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report a folder whose name is not the one that the assumed version looks for."""
        for claim in entry.claims:
            wanted = claim.needs.folder
            if not wanted or wanted == entry.name:
                continue
            target = os.path.join(entry.root, wanted)
            mine = [files for files in claim.others if files.folder == entry.name]
            old = span(mine[0]) if mine else "another version"
            since = span(claim.needs._replace(since=_first_version(claim)))
            there = seen.survey.answering((entry.locator, wanted))
            newer = next((e for e in there if e.path == target), None)
            if _in_container(entry.path):
                continue
            if newer is not None and (missing(newer) or seen.faults(newer)):
                continue  # it has its own findings, and this folder serves as a source
            if os.path.lexists(target):
                size = sum(a.size_bytes for a in entry.artifacts if not a.bundle)
                yield self.about(
                    entry.path,
                    (entry,),
                    f"`{wanted}` also exists; only {claim.engine} {old} reads this one",
                    severity=Severity.NOTE if newer else Severity.WARNING,
                    bytes=size,
                )
            else:
                yield self.about(
                    entry.path,
                    (entry,),
                    f"{claim.engine} {since} look in `{wanted}`; {old} would download again "
                    "after a rename",
                )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Rename the folder, or set the older of the two aside."""
        from cachedoctor import repairs
        from cachedoctor.repairs import folder

        if finding.severity is Severity.NOTE:
            return repairs.set_aside(finding)
        return folder.rename_folder(finding)


class MixedVariants(Restores, EntryRule):
    """One folder holds the configuration of one quantisation and the weights of another.

    lightning-whisper-mlx keeps the plain, 4-bit and 8-bit models of a size in one folder, so an
    interrupted download leaves files of two of them. The engine then fails in the middle of
    loading, or builds layers that the weights do not fit.

    `fix` restores the weights that match the configuration.
    Source: lightning-whisper-mlx 0.0.10 `lightning.py`, issues 11, 24 and 26.
    """

    code = "CD414"
    slug = "mixed-variants"
    status = Status.CORRUPT

    def applies(self, layout: Layout) -> bool:
        """Return whether a model's quantisations share one folder."""
        return layout.mixes_variants

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Compare `quantization` in the configuration with the names in the weights."""
        files = {a.name: a for a in entry.artifacts if a.state is State.PRESENT}
        config, weights = files.get("config.json"), files.get("weights.npz")
        if config is None or weights is None:
            return
        if any(artifact in (config, weights) for artifact, _ in seen.faults(entry)):
            return
        packed = _weights_are_quantised(weights)
        said = _config_is_quantised(config)
        if packed is None or said is None or packed == said:
            return
        kinds = ("a quantised", "a plain") if said else ("a plain", "a quantised")
        message = (
            f"`config.json` describes {kinds[0]} model, but `weights.npz` holds {kinds[1]} one"
        )
        yield self.of(weights, entry, message, bytes=weights.size_bytes)


class ShadowedName(EntryRule):
    """Something in the current folder has the model's name, and is loaded instead.

    faster-whisper takes any folder of that name, mlx-whisper a folder named like the repository,
    pywhispercpp a file: they all look in the current folder before they look in the cache. The
    resulting error complains about a broken model at a relative path.

    Rename it, run from another folder, or pass the model's full path to the engine.
    Source: faster-whisper 1.2.1 `transcribe.py` `WhisperModel.__init__`; mlx-whisper 0.4.3
    `load_models.py`; pywhispercpp 1.5.1 `utils.py` `download_model`.
    """

    code = "CD420"
    slug = "shadowed-name"
    severity = Severity.WARNING
    manual = ("rename", "mv", "-n", "{path}", "{path}.mine")

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each file or folder that shadows a model's name."""
        for claim in entry.claims:
            for path in claim.shadows:
                kind = "folder" if os.path.isdir(path) else "file"
                message = f"{claim.engine}, run there, loads this {kind} instead of `{claim.model}`"
                yield self.about(path, (entry,), message, engines=(claim.engine,))


class OtherEnginesLayout(Restores, EntryRule):
    """The repository holds the model in the form that another engine loads.

    Several people publish the same model in several forms: mlx-audio's `model.safetensors` is not
    mlx-whisper's `weights.npz`, and a repository for transformers does not work with CTranslate2.
    The engine finds the repository, but none of the files it reads.

    `fix` fetches the files that this engine reads, if the repository has them. Otherwise choose a
    repository made for this engine.
    Source: mlx-whisper 0.4.3 `load_models.py`; ml-explore/mlx-examples issue 1421, pull request
    1399.
    """

    code = "CD421"
    slug = "other-engines-layout"
    status = Status.INCOMPLETE
    rank = 60
    silent_under = (Circumstance.DOWNLOADING, Circumstance.SUPERSEDED)

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report missing weights if another engine's are there instead."""
        found = other_layout(entry)
        for artifact in missing(entry) if found else ():
            if artifact.name.endswith(WEIGHTS):
                engine = artifact.required_by[0]
                message = f"{engine} reads `{artifact.name}`, but only {found} is here"
                yield self.of(artifact, entry, message, expected=artifact.expected_bytes)


def _linked_folders(entry: Entry, seen: Examination) -> list[tuple[str, str]]:
    """Return the folders of an entry that are links out of its root, and where they lead."""
    hub = listed(HubCache, seen.survey.root_of(entry))
    if hub is not None:
        found = hub.of(entry).outside
        return [(path, to) for path, to in found if not inside(to, entry.root)]
    if os.path.islink(entry.path) and not entry.revision and os.path.isdir(entry.path):
        real = os.path.realpath(entry.path)
        return [] if inside(real, entry.root) else [(entry.path, real)]
    return []


def _in_container(path: str) -> bool:
    return "/Library/Containers/" in path or "/Library/Group Containers/" in path


def _weights_are_quantised(weights: Artifact) -> bool | None:
    try:
        with untrusted.open_regular(weights.file, follow=True) as file:
            return bool(find("npz").read(file, weights.size_bytes).details["quantized"])
    except (FormatError, OSError):
        return None


def _config_is_quantised(config: Artifact) -> bool | None:
    try:
        said = untrusted.read_json(config.file, _CONFIG_LIMIT_BYTES, follow=True)
    except (ValueError, OSError):
        return None
    return said.get("quantization") is not None if isinstance(said, dict) else None


def _first_version(claim: Claim) -> str:
    """Return the first version that looks in the wanted folder."""
    everyone = (claim.needs, *claim.others)
    return [files.since for files in everyone if files.folder == claim.needs.folder][-1]
