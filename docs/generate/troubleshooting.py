"""The troubleshooting page: engines' messages, by engine, from the table of `diagnose`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cachedoctor import diagnosis, engines, rules
from docs.generate.api_reference import MADE, head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.diagnosis import Symptom

_INTRODUCTION = """\
Search this page for the message that your program ended with, or let `cachedoctor` find it in
the program's output:

```console
$ echo "Unable to open file 'model.bin' in model '/x'" | cachedoctor diagnose | head -n 3
line 1: Unable to open file 'model.bin' in model '/x'
  said by  faster-whisper
  cause    `model.bin` is missing, or its symlink is broken
```

Then `cachedoctor scan` says whether your caches have that problem, and `cachedoctor fix` repairs
it. Each code links to its meaning and its cause. Numbers, paths and names in your message can
differ from those here."""
_MOST = 160  # characters of a message


def page() -> str:
    """Return every message that `diagnose` knows, with its cause and what to look for."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from ("# Troubleshooting by message", "", MADE, "")
    yield from _INTRODUCTION.splitlines()
    groups: dict[tuple[str, ...], list[Symptom]] = {}
    for symptom in diagnosis.symptoms():
        groups.setdefault(symptom.engines, []).append(symptom)
    for names, symptoms in sorted(groups.items(), key=lambda group: (len(group[0]), group[0])):
        every = len(names) == len(engines.names())
        yield from ("", f"## {'Any engine' if every else ', '.join(names)}")
        yield from head("message", "means", "look for")
        yield from map(_row, symptoms)


def _row(symptom: Symptom) -> str:
    known = [r for r in diagnosis.recognise([symptom.said.encode()]) if r.symptom == symptom]
    cause, codes = (known[0].cause, known[0].codes) if known else (symptom.cause, symptom.codes)
    said = " ".join(symptom.said.split())
    said = said if len(said) <= _MOST else f"{said[:_MOST]}…"
    ticks = "``" if "`" in said else "`"
    space = " " if "`" in said else ""
    links = ", ".join(map(link, codes))
    cells = (f"{ticks}{space}{said}{space}{ticks}", cause, links)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def link(code: str) -> str:
    """Return a link to a code's section of the page of findings."""
    return f"[{code}](rules.md#{code.lower()}-{re.sub(r'[^a-z0-9-]', '', rules.find(code).slug)})"
