"""Compare a result with an earlier one: which differences are larger than the noise of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor.errors import CannotLookError, UsageError
from cachedoctor.looking import untrusted

_LIMIT_BYTES = 16 << 20

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cachedoctor.bench.outcome import Result


class Earlier(NamedTuple):
    """The part of an earlier result that a comparison needs."""

    path: str
    chip: str
    clip_sha256: str
    settings: Mapping[str, object]
    runs: Mapping[tuple[str, str], tuple[float, float | None]]  # median and spread, by model


class Change(NamedTuple):
    """One engine, then and now."""

    engine: str
    model: str
    before_s: float
    now_s: float
    noise_s: float | None  # `None` if either result had only one run

    @property
    def word(self) -> str:
        """Return `faster` or `slower` only if the difference is larger than the noise."""
        if self.noise_s is None:
            return "one run tells no noise"
        if abs(self.now_s - self.before_s) <= self.noise_s:
            return "within the noise"
        return "faster" if self.now_s < self.before_s else "slower"


class Comparison(NamedTuple):
    """All changes, and other differences that may make the numbers incomparable."""

    path: str
    changes: tuple[Change, ...]
    unlike: tuple[str, ...]


def read(path: str) -> Earlier:
    """Read what `cachedoctor bench --save FILE.json` wrote; raises for anything else."""
    try:
        whole: dict[str, Any] = untrusted.read_json(path, _LIMIT_BYTES, follow=True)
        found = whole["bench"]
        return Earlier(
            path,
            str(found["machine"]["chip"]),
            str(found["clip"]["sha256"]),
            {str(name): value for name, value in found["settings"].items()},
            {
                (str(row["engine"]), str(row["model"])): (
                    float(row["median_s"]),
                    None if row["spread_s"] is None else float(row["spread_s"]),
                )
                for row in found["rows"]
            },
        )
    except OSError as error:
        raise CannotLookError(f"the earlier result cannot be read: `{path}`") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"not a benchmark result: `{path}`", hint="`--save FILE.json` writes one"
        ) from error


def compare(result: Result, earlier: Earlier) -> Comparison:
    """Compare each engine with itself in the earlier result."""
    unlike = []
    if earlier.clip_sha256 != result.clip.sha256:
        unlike.append("another clip")
    if earlier.chip != result.machine.chip:
        unlike.append("another machine")
    if earlier.settings.get("threads") != result.settings.threads:
        unlike.append("other threads")
    changes = []
    for row in result.rows:
        before = earlier.runs.get((row.engine, row.model))
        if before is not None:
            median_s, spread_s = before
            both = row.spread_s is not None and spread_s is not None
            noise_s = (row.spread_s or 0) + (spread_s or 0) if both else None
            changes.append(Change(row.engine, row.model, median_s, row.median_s, noise_s))
    return Comparison(earlier.path, tuple(changes), tuple(unlike))
