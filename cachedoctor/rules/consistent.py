"""Rules about what must agree with what: 4xx."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import untrusted
from cachedoctor.errors import FormatError
from cachedoctor.findings import Severity
from cachedoctor.formats import find
from cachedoctor.rules import EntryRule, Restores
from cachedoctor.rules._entries import missing, other_layout, span
from cachedoctor.vocabulary import WEIGHTS, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding, Repair
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Artifact, Claim, Entry

_CONFIG_LIMIT_BYTES = 1 << 20


class LinkEscapesRoot(EntryRule):
    """A link leads out of the cache.

    Somebody moved a file to another disk and linked it, or the cache was made by hand. It may well
    be right, so it is not opened, written through or removed: nothing is known about it.

    Look where it leads; a copy in its place would be checked like any other file.
    """

    code = "CD406"
    slug = "link-escapes-root"
    severity = Severity.WARNING

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each such link."""
        for artifact in entry.notable:
            if artifact.state is State.ESCAPING:
                message = f"`{artifact.name}` leads out of the cache, to `{artifact.detail}`"
                yield self.of(artifact, entry, message)

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Name the command that shows what is there; whether it is right is the user's to know."""
        from cachedoctor import repairs

        return repairs.manual("look-outside", "ls", "-lL", *(finding.links or (finding.path,)))


class RenamedFolder(EntryRule):
    """The model lies in the folder that older versions of the engine used.

    FluidAudio 0.13.4 dropped `-coreml` from its folders without moving anything: the new version
    downloads everything again and the old copy stays. Version 0.13.2 and before look only in the
    old folder, and would download again after a rename: if such an app is still installed, say
    `--engine-version fluidaudio=0.13.2` and this is no finding.

    `fix` renames the folder. Where both names are there, the new one counts and the old one is
    waste.
    Source: FluidInference/FluidAudio pull request 453 (v0.13.4).
    """

    code = "CD410"
    slug = "renamed-folder"
    severity = Severity.WARNING

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report a folder with another name than the assumed version looks for."""
        for claim in entry.claims:
            wanted = claim.needs.folder
            if not wanted or wanted == entry.name:
                continue
            target = os.path.join(entry.root, wanted)
            mine = [files for files in claim.others if files.folder == entry.name]
            old = span(mine[0]) if mine else "another version"
            since = span(claim.needs._replace(since=_first(claim)))
            newer = next((e for e in seen.survey.entries if e.path == target), None)
            if newer is not None and (missing(newer) or seen.faults(newer)):
                continue  # its own findings speak, and this folder serves as a copy
            if os.path.lexists(target):
                size = sum(a.size_bytes for a in entry.artifacts if not a.bundle)
                yield self.about(
                    entry.path,
                    (entry,),
                    f"`{wanted}` is there as well; only {claim.engine} {old} reads this one",
                    severity=Severity.NOTE if newer else Severity.WARNING,
                    bytes=size,
                )
            else:
                yield self.about(
                    entry.path,
                    (entry,),
                    f"{claim.engine} {since} looks in `{wanted}`; {old} would download again "
                    "after a rename",
                )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Rename the folder, or set the older of the two aside."""
        from cachedoctor import repairs
        from cachedoctor.repairs import folder

        if finding.severity is Severity.NOTE:
            return repairs.set_aside(finding, seen.survey)
        return folder.rename_folder(finding, seen.survey)


class MixedVariants(Restores, EntryRule):
    """One folder holds the configuration of one quantisation and the weights of another.

    lightning-whisper-mlx keeps a size's plain, 4-bit and 8-bit models in one folder, so a download
    that was stopped half-way leaves the files of two. It then fails in the middle of loading, or
    builds layers that the weights do not fit.

    `fix` restores the weights that the configuration is about.
    Source: lightning-whisper-mlx 0.0.10 `lightning.py`, issues 11, 24 and 26.
    """

    code = "CD414"
    slug = "mixed-variants"

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Compare `quantization` in the configuration with the names in the weights."""
        if entry.locator != "local-dir":
            return
        files = {a.name: a for a in entry.artifacts if a.state is State.PRESENT}
        config, weights = files.get("config.json"), files.get("weights.npz")
        if config is None or weights is None:
            return
        if any(artifact in (config, weights) for artifact, _ in seen.faults(entry)):
            return
        packed = _is_packed(weights)
        said = _says_packed(config)
        if packed is None or said is None or packed == said:
            return
        kinds = ("a quantised", "a plain") if said else ("a plain", "a quantised")
        message = f"`config.json` is of {kinds[0]} model, `weights.npz` of {kinds[1]} one"
        yield self.of(weights, entry, message, bytes=weights.size_bytes)


class ShadowedName(EntryRule):
    """Something in the current folder is called like the model, and is loaded in its place.

    faster-whisper takes any folder of that name, mlx-whisper a folder called like the repository,
    pywhispercpp a file: all look beside themselves before they look in the cache. The error that
    follows speaks of a broken model and names a relative path.

    Rename it, run from another folder, or give the engine the model's path.
    Source: faster-whisper 1.2.1 `transcribe.py` `WhisperModel.__init__`; mlx-whisper 0.4.3
    `load_models.py`; pywhispercpp 1.5.1 `utils.py` `download_model`.
    """

    code = "CD420"
    slug = "shadowed-name"
    severity = Severity.WARNING

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report what the engines found in the way."""
        for claim in entry.claims:
            for path in claim.shadows:
                kind = "folder" if os.path.isdir(path) else "file"
                message = f"{claim.engine} run from there loads this {kind} for `{claim.model}`"
                yield self.about(path, (entry,), message, engines=(claim.engine,))

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Name the command that gives it another name; it is somebody's own."""
        from cachedoctor import repairs

        return repairs.manual("rename", "mv", "-n", finding.path, f"{finding.path}.mine")


class OtherEnginesLayout(Restores, EntryRule):
    """The repository holds the model in the form that another engine loads.

    The same name is published by several people in several forms: `model.safetensors` of mlx-audio
    is no `weights.npz` of mlx-whisper, and a repository for transformers is none for CTranslate2.
    The engine finds the repository and none of its files.

    `fix` fetches the files that this engine reads, if the repository has them. Otherwise choose the
    repository that is made for it.
    Source: mlx-whisper 0.4.3 `load_models.py`; ml-explore/mlx-examples issue 1421, pull request
    1399.
    """

    code = "CD421"
    slug = "other-engines-layout"

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report the weights that are missing where another engine's are there."""
        found = other_layout(entry)
        for artifact in missing(entry) if found else ():
            if artifact.name.endswith(WEIGHTS):
                engine = artifact.required_by[0]
                message = f"{engine} reads `{artifact.name}`; here lies {found}"
                yield self.of(artifact, entry, message, expected=artifact.expected_bytes)


def _is_packed(weights: Artifact) -> bool | None:
    try:
        with untrusted.open_regular(weights.file) as file:
            return bool(find("npz").read(file, weights.size_bytes).details["quantized"])
    except (FormatError, OSError):
        return None


def _says_packed(config: Artifact) -> bool | None:
    try:
        said = untrusted.read_json(config.file, _CONFIG_LIMIT_BYTES)
    except (ValueError, OSError):
        return None
    return "quantization" in said if isinstance(said, dict) else None


def _first(claim: Claim) -> str:
    """Return the first version that looks in the folder that is wanted."""
    everyone = (claim.needs, *claim.others)
    return [files.since for files in everyone if files.folder == claim.needs.folder][-1]
