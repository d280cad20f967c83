"""Run every engine that is ready on one clip, each in a process of its own, and measure.

Engines take turns run by run, so that drift of the machine affects all alike; if their models would
not fit in memory together, they run one after another. Nothing is written to a cache.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cachedoctor.bench import clips, file_cache, lineup, memory, scoring
from cachedoctor.bench.bridged import BridgeSession
from cachedoctor.bench.outcome import LeftOut, Machine, Result, Row, Settings
from cachedoctor.bench.session import FailedError, Session
from cachedoctor.system import usage
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.bench.lineup import Contender
    from cachedoctor.bench.outcome import Clip
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Progress

_MEMORY_FOR_EACH_BYTE = 3  # of a model on disk: int8 turned into float32 takes 4, most take less


class Watcher(Protocol):
    """Receives the progress of a benchmark."""

    def begin(self, engine: str, steps: int) -> None:
        """Note that an engine will take `steps` steps."""
        ...

    def step(self, engine: str) -> None:
        """Note that an engine took one step."""
        ...

    def finish(self, engine: str) -> None:
        """Note that an engine is done, or failed; may be called more than once."""
        ...


class Unwatched:
    """A `Watcher` that shows nothing."""

    def begin(self, engine: str, steps: int) -> None:
        """Show nothing."""

    def step(self, engine: str) -> None:
        """Show nothing."""

    def finish(self, engine: str) -> None:
        """Show nothing."""


class Wish(NamedTuple):
    """How to measure."""

    runs: int = 5
    warmup: int = 1
    timeout_s: float = 600.0
    threads: int | None = None  # `None` means one per core
    language: str | None = None  # `None` means English for the package's clip, else detected


def measure(
    host: Host,
    names: Sequence[str] = (),
    *,
    size: str | None = None,
    model: str | None = None,
    audio: str | None = None,
    wish: Wish | None = None,
    progress: Progress = SILENT,
    watcher: Watcher | None = None,
) -> Result:
    """Measure the engines called `names`, or all, with one model or the model for a size.

    Every model is first checked against its digests, unless that is remembered. A failure of an
    engine is a result with a reason. Ctrl-C ends the engines; what was measured by then is kept.
    Raises `UsageError` for an unknown name and for a clip that cannot be measured.
    """
    began_s = int(time.time())
    wish = wish or Wish()
    with tempfile.TemporaryDirectory(prefix="cachedoctor-bench-") as scratch:
        clip = clips.take(audio, scratch)
        ready, left = lineup.contenders(host, names, size=size, model=model, progress=progress)
        needed = sum(each.size_bytes for each in ready) * _MEMORY_FOR_EACH_BYTE
        in_turn = len(ready) > 1 and needed < memory.available_bytes()
        settings = Settings(
            runs=wish.runs,
            warmup=wish.warmup,
            threads=wish.threads or _cores(),
            language=wish.language or ("en" if audio is None else None),
            timeout_s=wish.timeout_s,
            in_turn=in_turn,
        )
        race = _Race(host, clip, settings, scratch, watcher or Unwatched())
        interrupted = False
        try:
            for group in [ready] if in_turn else [[each] for each in ready]:
                race.run(group)
        except KeyboardInterrupt:
            interrupted = True
        rows, failed = race.results(ready)
    return Result(
        clip=clip,
        settings=settings,
        machine=_machine(),
        rows=tuple(sorted(rows, key=lambda row: row.median_s)),
        left_out=tuple(each._replace(cure=host.again(each.cure)) for each in (*failed, *left)),
        began_s=began_s,
        interrupted=interrupted,
    )


class _Lane:
    """The measurements of one contender so far."""

    def __init__(self, contender: Contender) -> None:
        """Start with no measurements."""
        self.contender = contender
        self.session: Session | BridgeSession | None = None
        self.failure: LeftOut | None = None
        self.versions: dict[str, str] = {}
        self.settings: dict[str, object] = {}
        self.import_s = self.load_warm_s = 0.0
        self.load_cold_s: float | None = None
        self.peak_bytes: int | None = None
        self.warm_s: list[float] = []  # the warm-up transcriptions, which do not count
        self.runs_s: list[float] = []
        self.texts: list[str] = []


class _Race:
    """The contenders at work."""

    def __init__(
        self, host: Host, clip: Clip, settings: Settings, scratch: str, watcher: Watcher
    ) -> None:
        """Keep what is the same for all contenders."""
        self._host = host
        self._clip = clip
        self._settings = settings
        self._scratch = scratch
        self._watcher = watcher
        self._lanes: dict[str, _Lane] = {}

    def run(self, group: Sequence[Contender]) -> None:
        """Load a group, then let each transcribe in turn until all runs are done."""
        lanes = [_Lane(contender) for contender in group]
        self._lanes |= {lane.contender.engine: lane for lane in lanes}
        rounds = self._settings.warmup + self._settings.runs
        try:
            for lane in lanes:
                self._watcher.begin(lane.contender.engine, 1 + rounds)
                with self._noted(lane):
                    self._load(lane)
            for number in range(rounds):
                for lane in lanes:
                    if lane.failure is None:
                        with self._noted(lane):
                            self._transcribe(lane, number)
        finally:
            for lane in lanes:
                self._end(lane)

    def results(self, ready: Sequence[Contender]) -> tuple[list[Row], list[LeftOut]]:
        """Return a row for each contender that was measured, and a reason for each other."""
        rows, failed = [], []
        for contender in ready:
            lane = self._lanes.get(contender.engine) or _Lane(contender)
            if lane.failure is not None:
                failed.append(lane.failure)
            elif not lane.runs_s:
                failed.append(_left_out(contender, "interrupted before it was measured"))
            else:
                row = self._row(lane)
                said = self._clip.words
                if said and any(scoring.is_garbled(said, each) for each in set(lane.texts)):
                    failed.append(_garbled(row))
                else:
                    rows.append(row)
        return rows, failed

    @contextlib.contextmanager
    def _noted(self, lane: _Lane) -> Iterator[None]:
        """Turn an engine's failure into a result."""
        try:
            yield
        except FailedError as error:
            lane.failure = _left_out(lane.contender, error.why, code=error.code, cure=error.cure)
            self._end(lane)
        else:
            self._watcher.step(lane.contender.engine)

    def _load(self, lane: _Lane) -> None:
        """Load from disk, if the model can be dropped from the file cache, then from that cache."""
        path, language = lane.contender.path, self._settings.language
        if file_cache.forget(lane.contender.files):
            first = self._start(lane)
            try:
                first.bring()
                lane.load_cold_s = first.load(path, language).seconds
            finally:
                first.end()
        lane.session = self._start(lane)
        brought = lane.session.bring()
        lane.versions = _strings(brought.said["versions"])
        lane.import_s = brought.seconds
        loaded = lane.session.load(path, language)
        lane.settings = _table(loaded.said["settings"])
        lane.load_warm_s = loaded.seconds
        usage.remember(self._host.state, usage.BENCH, (path,), time.time())

    def _transcribe(self, lane: _Lane, number: int) -> None:
        assert lane.session is not None
        step = lane.session.transcribe(self._clip.file)
        kept = lane.warm_s if number < self._settings.warmup else lane.runs_s
        kept.append(step.seconds)
        lane.texts.append(str(step.said["text"]))

    def _start(self, lane: _Lane) -> Session | BridgeSession:
        home = tempfile.mkdtemp(dir=self._scratch)
        contender, threads, timeout_s = (
            lane.contender,
            self._settings.threads,
            self._settings.timeout_s,
        )
        if contender.package is None:
            return BridgeSession(
                contender.engine, contender.program, home, threads=threads, timeout_s=timeout_s
            )
        return Session(
            contender.engine,
            contender.program,
            contender.package,
            home,
            threads=threads,
            timeout_s=timeout_s,
        )

    def _end(self, lane: _Lane) -> None:
        if lane.session is not None:
            lane.session.end()
            lane.peak_bytes = lane.session.peak.bytes
            lane.session = None
        self._watcher.finish(lane.contender.engine)

    def _row(self, lane: _Lane) -> Row:
        contender, text = lane.contender, lane.texts[-1]
        wrong = None
        if self._clip.words and scoring.can_score():
            wrong = max(
                scoring.word_error_rate(self._clip.words, each, self._settings.language)
                for each in set(lane.texts)
            )
        return Row(
            engine=contender.engine,
            model=contender.model,
            path=contender.path,
            revision=contender.revision,
            size_bytes=contender.size_bytes,
            digests=contender.digests,
            program=contender.program,
            versions=lane.versions,
            settings=lane.settings,
            import_s=lane.import_s,
            load_cold_s=lane.load_cold_s,
            load_warm_s=lane.load_warm_s,
            first_s=(lane.warm_s + lane.runs_s)[0],
            runs_s=tuple(lane.runs_s),
            peak_bytes=lane.peak_bytes,
            text=text,
            word_error_rate=wrong,
            same_text=len(set(lane.texts)) == 1,
        )


def _left_out(
    contender: Contender, why: str, *, code: str | None = None, cure: str = ""
) -> LeftOut:
    return LeftOut(engine=contender.engine, model=contender.model, code=code, why=why, cure=cure)


def _garbled(row: Row) -> LeftOut:
    wrong = row.word_error_rate
    return LeftOut(
        engine=row.engine,
        model=row.model,
        code=None,
        why="its transcript is wrong" + ("" if wrong is None else f": {wrong:.2f} errors per word"),
        cure=f"cachedoctor verify {row.engine} --fresh",
        text=row.text,
    )


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on a Mac
        return os.cpu_count() or 1


def _machine() -> Machine:
    found = os.uname()
    system = f"{found.sysname} {found.release} {found.machine}"
    return Machine(system, _chip(), _cores(), memory.total_bytes())


def _chip() -> str:
    """Return the name of the processor."""
    if sys.platform == "darwin":
        from cachedoctor.system import child

        asked = child.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], environment={}, timeout_s=5
        )
        return asked.output.decode(errors="replace").strip()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return os.uname().machine


def _strings(value: object) -> dict[str, str]:
    return {name: str(each) for name, each in _table(value).items()}


def _table(value: object) -> dict[str, object]:
    return {str(name): each for name, each in value.items()} if isinstance(value, dict) else {}
