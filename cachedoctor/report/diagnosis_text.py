"""What an engine's text means, as text; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.report.folding import Folding
from cachedoctor.report.scan_text import repairable
from cachedoctor.text import WIDTH, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.diagnosis import Diagnosis
    from cachedoctor.host import Host

_INDENT = " " * 11


def diagnosis_lines(found: Diagnosis, host: Host) -> Iterator[str]:
    """Yield what was recognised, whether the caches have it, and the command that cures it."""
    if not found.recognised:
        yield from _of_no_cache(found, host)
        return
    for one in found.recognised:
        yield f"line {one.line}: {printable(one.text.strip())[: WIDTH - 12]}"
        yield from _wrapped("said by", ", ".join(one.engines))
        yield from _wrapped("cause", one.cause)
        yield from _wrapped("look for", ", ".join(one.codes))
        yield ""
    names = " ".join(found.engines)
    if not found.models:
        yield f"no model of {' or '.join(found.engines)} in any known place"
        yield f"next: `{host.command('where', 'ENGINE', '--size', 'small')}` names them"
        return
    if found.unready:
        yield "no fault found, but not ready:"
        for answer in found.unready:
            code = f"{answer.code} " if answer.code else ""
            why = f"{answer.engine} {answer.model}: {code}{printable(answer.why or '')}"
            yield from _wrapped("", why)
        return
    if not found.findings:
        yield "headers and lengths of these engines' models are right"
        yield f"next: `cachedoctor verify {names}{host.options}` reads every byte"
        return
    yield "found in the caches:"
    for finding in found.findings:
        yield f"  {finding.code} {printable(host.short(finding.path))}"
        yield from _wrapped("", printable(finding.message))
    engines = dict.fromkeys(
        name for finding in found.findings if repairable(finding) for name in finding.engines
    )
    cures = [f"`{host.command('fix', name)}`" for name in engines if name in found.engines]
    if cures:
        yield f"cure: {' or '.join(cures)}"


def _of_no_cache(found: Diagnosis, host: Host) -> Iterator[str]:
    """Yield what a text is about instead, if known."""
    if not found.elsewhere:
        command = f"`{host.command('scan')}`"
        yield f"nothing in this text is recognised; {command} checks every cache"
        return
    yield "this text is not about a cache, but about something else:"
    for one in found.elsewhere:
        yield f"line {one.line}: {printable(one.text.strip())[: WIDTH - 12]}"
        yield from _wrapped("cause", one.cause)


def _wrapped(label: str, text: str) -> list[str]:
    return [Folding((f"  {label:<9}" if label else _INDENT) + text, len(_INDENT))]
