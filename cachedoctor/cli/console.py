"""What a terminal shows: coloured lines on stdout, progress bars on stderr."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from cachedoctor import text
from cachedoctor.errors import CannotLookError
from cachedoctor.report import folding
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tqdm import tqdm

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Progress

_WIDEST = 120  # the widest that is still easy to read
_NARROWEST = 40
_LONGEST_BAR, _SHORTEST_BAR = 20, 5
_CODE = r"\bCD\d{3}\b"
_COLORS = {"error": "red", "warning": "yellow", "✗": "red", "!": "yellow", "✓": "green"}
_VERDICTS = {
    "ready": "green",
    "broken": "red",
    "absent": "yellow",
    "busy": "yellow",
    "unreadable": "red",
    "evicted": "yellow",
    "gone": "yellow",
}
_WORD = re.compile(rf"^( *)({'|'.join((*_COLORS, *_VERDICTS))})(?= )")


def say(lines: Iterable[str], *, err: bool = False) -> None:
    """Print lines; colour repeats their first word if the terminal has colours.

    Only on a terminal are long lines broken, and codes linked to their pages.
    """
    stream = sys.stderr if err else sys.stdout
    width = _width() if stream.isatty() else None
    context = click.get_current_context(silent=True)
    plain = os.environ.get("TERM") == "dumb" or (context is not None and context.color is False)
    links = width is not None and not plain
    for line in lines:
        for shown in folding.folded(line, width):
            painted = _WORD.sub(_paint, text.line(shown))
            click.echo(_linked(painted) if links else painted, err=err, color=_color())


def warn(lines: Iterable[str]) -> None:
    """Print warnings to stderr, so that a script that reads the answer does not see them."""
    for line in lines:
        said = f"{click.style('warning', fg='yellow')} {text.line(line)}"
        click.echo(said, err=True, color=_color())


def warn_of_hidden(report: Report) -> None:
    """Print a warning for each place whose contents could not be seen, and so were not counted."""
    warn(
        f"{finding.code} {finding.message}: `{finding.path}`; what is in it does not count"
        for finding in report.hiding
    )


def write_whole(path: str, data: bytes) -> None:
    """Write a file for the user whole, or not at all; an older one is replaced, its mode kept.

    Anything but a regular file, such as `/dev/stdout`, is written to in place. Raises
    `CannotLookError` if the place that was named cannot be written.
    """
    try:
        _write_whole(os.path.abspath(path), data)
    except OSError as error:
        raise CannotLookError(
            f"`{text.printable(path)}` could not be written: {error.strerror}"
        ) from error


def _write_whole(target: str, data: bytes) -> None:
    from cachedoctor.system import disk

    mode = None
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(target)
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISREG(status.st_mode):
            with open(target, "wb") as file:
                file.write(data)
            return
    # the user's own file, outside every cache, so not `disk`'s
    fresh = f"{target}.{os.getpid()}.tmp"
    disk.write(fresh, data)
    try:
        if mode is not None:
            os.chmod(fresh, mode)  # noqa: TID251
        os.replace(fresh, target)  # noqa: TID251
    except BaseException:
        os.unlink(fresh)  # noqa: TID251
        raise
    disk.fsync_folder(os.path.dirname(target))


def moved_times() -> None:
    """Warn once where access times were not kept: the system lets only a file's owner keep them."""
    from cachedoctor.looking import quietly
    from cachedoctor.text import plural

    folders = quietly.times_moved()
    if folders:
        where = f"{plural(len(folders), 'folder')}; the system allows that only to their owner"
        warn((f"access times were not kept in {where}",))


def code_for(host: Host, engines: Iterable[str], code: int) -> int:
    """Return 3 instead of `code`, and say why, if a place that the user named cannot be read.

    A verdict about the machine's usual places stays as it is.
    """
    from cachedoctor.doctor import survey
    from cachedoctor.engines import find
    from cachedoctor.text import printable

    layouts = dict.fromkeys(name for engine in engines for name in find(engine).locators)
    layouts.update(dict.fromkeys(place.kind for place in host.places))
    closed = survey.closed_named(host, tuple(layouts))
    if closed is None:
        return code
    path, why = closed
    warn((f"a place that you named cannot be read: `{printable(path)}`: {why}",))
    return CannotLookError.exit_code


def _width() -> int:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # not a terminal
            return max(_NARROWEST, min(os.get_terminal_size(stream.fileno()).columns, _WIDEST))
    return text.WIDTH


def _linked(line: str) -> str:
    """Link each code to its page, but not within a command.

    Source: "Hyperlinks in terminal emulators", OSC 8; a terminal without them shows the code.
    """
    parts = line.split("`")
    for number in range(0, len(parts), 2):
        parts[number] = re.sub(_CODE, _link, parts[number])
    return "`".join(parts)


def _link(match: re.Match[str]) -> str:
    from cachedoctor.report import pages

    address = pages.of_code(match[0])
    return f"\x1b]8;;{address}\x1b\\{match[0]}\x1b]8;;\x1b\\" if address else match[0]


def _paint(match: re.Match[str]) -> str:
    word = match[2]
    return match[1] + click.style(word, fg=_COLORS.get(word) or _VERDICTS[word])


def _color() -> bool | None:
    context = click.get_current_context(silent=True)
    if context is not None and context.color is not None:
        return context.color
    return False if os.environ.get("NO_COLOR") else None


def _bar(label: str, total_bytes: int | None) -> tqdm[NoReturn]:
    """Return a bar that writes sizes as everything else here does: `1.1 of 2.9 GiB, 41 s`."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        @property
        def format_dict(self) -> dict[str, object]:
            known = dict(super().format_dict)
            done, seconds = int(known["n"]), float(known["elapsed"])
            left = ""
            if self.total and 0 < done < self.total and seconds:
                left = f", {seconds * (self.total - done) / done:.0f} s"
            whole = text.of_size(done, int(self.total)) if self.total else text.size(done)
            return {**known, "amount": f"{whole}{left}"}

    room = _width() - len(f"    {text.of_size(total_bytes or 0, total_bytes or 0)}, 9999 s")
    label = label if len(label) <= room else f"{label[: room - 1]}…"
    room -= len(label) + 2
    bar = f"  {{bar:{min(_LONGEST_BAR, room)}}}" if total_bytes and room >= _SHORTEST_BAR else ""
    return Bar(
        total=total_bytes,
        desc=f"  {label}",
        bar_format=f"{{desc}}{bar}  {{amount}}",
        leave=False,
        delay=0.5,
        file=sys.stderr,
        dynamic_ncols=True,
    )


class Bars:
    """A progress bar for each piece of work that takes longer than a moment."""

    def __init__(self) -> None:
        """Begin without a bar."""
        self._bar: tqdm[NoReturn] | None = None

    def start(self, label: str, total_bytes: int | None) -> None:
        """Show a bar; it appears after half a second, so that short work stays quiet."""
        self.finish()
        self._bar = _bar(label, total_bytes)

    def advance(self, done_bytes: int) -> None:
        """Advance the bar; reads come from several threads, and a bar locks itself."""
        if self._bar is not None:
            self._bar.update(done_bytes)

    def finish(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def progress(*, quiet: bool = False) -> Progress:
    """Return bars if a person is watching stderr, otherwise nothing."""
    return Bars() if not quiet and sys.stderr.isatty() else SILENT
