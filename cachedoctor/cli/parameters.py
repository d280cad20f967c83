"""Arguments as types: each parses its text, refuses what is wrong, and completes at TAB."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click

from cachedoctor.cli import offers
from cachedoctor.errors import UsageError
from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import SIZES, nearest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _Base = click.ParamType[Any]
else:  # generic since click 8.2
    _Base = click.ParamType

_CODE = r"(?i)CD\d{3}"
_SOURCES = ("hub", "openai")


class _Type(_Base):
    """A type that parses its text once, and refuses nothing while a shell asks for offers."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Parse a text; a value that is parsed already, such as a default, passes through."""
        if not isinstance(value, str) or (ctx is not None and ctx.resilient_parsing):
            return value
        return self.read(value, param)

    def read(self, text: str, param: click.Parameter | None) -> object:
        """Return what a text means; raises `UsageError`."""
        raise NotImplementedError


class _Engine(_Type):
    """The name of an engine."""

    name = "engine"

    def read(self, text: str, param: click.Parameter | None) -> str:
        """Return the name of a known engine."""
        from cachedoctor import engines

        return engines.find(text).name

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the engines."""
        return offers.engines(ctx, param, incomplete)


class _Code(_Type):
    """The code of a finding, or its slug."""

    name = "code"

    def read(self, text: str, param: click.Parameter | None) -> str:
        """Return the code for a code or a slug."""
        from cachedoctor import rules

        known = {rule.slug: rule.code for rule in rules.every()}
        code = known.get(text, text.upper())
        if code in known.values():
            return code
        names = (*known.values(), *known)
        raise UsageError(
            f"no code `{text}`{nearest(text.upper(), names) or nearest(text, names)}",
            hint="`cachedoctor explain` lists all codes",
        )

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the codes."""
        return offers.codes(ctx, param, incomplete)


class _Amount(_Type):
    """A number with a unit; TAB offers the units once there is a number."""

    units: tuple[str, ...]

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the number with each unit."""
        return offers.amounts(incomplete, self.units)


class _Age(_Amount):
    """An age such as `30d`, in seconds."""

    name = "age"
    words = ("an age", "90d, 12h, 6w, 3mo or 1y")
    units = ("s", "m", "h", "d", "w", "mo", "y")

    def read(self, text: str, param: click.Parameter | None) -> int:
        """Return seconds."""
        from cachedoctor.system import amounts

        return int(amounts.seconds_of(text, *self.words))


class _Time(_Age):
    """A time limit such as `90s`, in seconds."""

    name = "time"
    words = ("a time", "90s, 5m or 2h")


class _Bytes(_Amount):
    """An amount such as `20G`, in bytes."""

    name = "bytes"
    units = ("M", "MB", "G", "GB", "T", "TB")

    def read(self, text: str, param: click.Parameter | None) -> int:
        """Return bytes."""
        from cachedoctor.system import amounts

        return amounts.size_of(text)


class _Rate(_Amount):
    """A rate such as `50M`, in bytes a second."""

    name = "rate"
    units = ("K", "M", "G")

    def read(self, text: str, param: click.Parameter | None) -> int:
        """Return bytes a second."""
        found = re.fullmatch(r"([1-9]\d*)([KMG])", text)
        if found is None:
            raise UsageError(f"not a rate: `{text}`", hint="write 500K, 50M or 1G per second")
        return int(found[1]) << {"K": 10, "M": 20, "G": 30}[found[2]]


class _Subset(_Type):
    """One of several parts, such as `3/8`."""

    name = "subset"

    def read(self, text: str, param: click.Parameter | None) -> tuple[int, int]:
        """Return which part, and of how many."""
        found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text)
        number, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= of:
            raise UsageError(f"not a part: `{text}`", hint="write 1/8 for the first of eight")
        return number, of


class _Size(_Type):
    """A size of models, from tiny to large."""

    name = "size"

    def read(self, text: str, param: click.Parameter | None) -> str:
        """Return a size that some engine has."""
        if text not in SIZES:
            raise UsageError(
                f"no size `{text}`{nearest(text, SIZES)}", hint=f"the sizes are {', '.join(SIZES)}"
            )
        return text

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the sizes, with the models that answer each."""
        return offers.sizes(ctx, param, incomplete)


class _Question(_Type):
    """`ENGINE:SIZE` or `ENGINE:MODEL`, as a pair."""

    name = "question"

    def read(self, text: str, param: click.Parameter | None) -> tuple[str, str]:
        """Return the engine, and the size or model asked for."""
        from cachedoctor.question import of_one

        command = click.get_current_context().command.name
        engine, what = of_one(text, example=f"cachedoctor {command} faster-whisper:small")
        return str(ENGINE.read(engine, param)), what

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer engines with their sizes, then their models."""
        return offers.questions(ctx, param, incomplete)


class Word(NamedTuple):
    """One word of a command line, classified."""

    engine: str = ""
    code: str = ""
    path: str = ""


class _EngineOrCode(_Type):
    """An engine, or the code of a finding."""

    name = "engine or code"

    def read(self, text: str, param: click.Parameter | None) -> Word:
        """Return which of the two it is."""
        if re.fullmatch(_CODE, text):
            return Word(code=CODE.read(text, param))
        return Word(ENGINE.read(text, param))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer both."""
        return offers.engines_or_codes(ctx, param, incomplete)


class _EngineOrPath(_Type):
    """An engine, or a path: a word with a slash, or one that exists as a file."""

    name = "engine or path"

    def read(self, text: str, param: click.Parameter | None) -> Word:
        """Return which of the two it is; raises `CannotLookError` for a path where nothing is."""
        from cachedoctor import engines
        from cachedoctor.doctor import named

        if text in engines.names() or not (os.sep in text or os.path.lexists(text)):
            return Word(ENGINE.read(text, param))
        path = os.path.expanduser(text)
        named.require_readable(os.path.abspath(path))
        return Word(path=path)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer engines, and files if no engine begins like this."""
        return offers.engines_or_files(ctx, param, incomplete)


class _Pair(_Type):
    """`NAME=VALUE`, as a pair."""

    name = "pair"

    def read(self, text: str, param: click.Parameter | None) -> tuple[str, str]:
        """Return name and value."""
        name, equals, value = text.partition("=")
        if not equals or not name:
            option = param.opts[0] if param else ""
            raise UsageError(f"{option} needs NAME=VALUE, not `{text}`")
        return name, value


class _OfEngine(_Pair):
    """`ENGINE=VALUE`, as a pair; TAB offers the engines."""

    def read(self, text: str, param: click.Parameter | None) -> tuple[str, str]:
        """Return the name of a known engine, and the value."""
        name, value = super().read(text, param)
        return str(ENGINE.read(name, param)), value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the engines, up to the equals sign."""
        if "=" in incomplete:
            return []
        found = offers.engines(ctx, param, incomplete)
        for item in found:
            item.value += "="
        return found


class _VersionOf(_OfEngine):
    """`ENGINE=VERSION`, or `transformers=VERSION`, with which insanely-fast-whisper loads."""

    def read(self, text: str, param: click.Parameter | None) -> tuple[str, str]:
        """Return the engine and a comparable version."""
        from cachedoctor.engines import catalog
        from cachedoctor.locators.hub_cache import LIBRARY

        name, _, version = text.partition("=")
        if name != LIBRARY or not version:
            name, version = super().read(text, param)
        catalog.ordinal(version)
        return name, version


class _ProgramOf(_OfEngine):
    """`ENGINE=PATH`, the path of a Python or a bridge."""

    def read(self, text: str, param: click.Parameter | None) -> tuple[str, str]:
        """Return the engine and an existing program."""
        name, path = super().read(text, param)
        if not os.path.isfile(path):
            hint = "name the file, such as `…/bin/python`"
            raise UsageError(f"no program at `{path}`", hint=hint)
        return name, path


class _Mirror(_Pair):
    """`hub=URL` or `openai=URL`."""

    def read(self, text: str, param: click.Parameter | None) -> tuple[str, str]:
        """Return which source is fetched from elsewhere, and from where."""
        name, url = super().read(text, param)
        if name not in _SOURCES:
            raise UsageError(
                f"no source `{name}` for --mirror", hint="use `hub=URL` or `openai=URL`"
            )
        return name, url

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the sources, up to the equals sign."""
        return offers.beginnings(incomplete, [f"{name}=" for name in _SOURCES])


ENGINE = _Engine()
CODE = _Code()
ENGINE_OR_CODE = _EngineOrCode()
ENGINE_OR_PATH = _EngineOrPath()
QUESTION = _Question()
SIZE = _Size()
AGE = _Age()
TIME = _Time()
BYTES = _Bytes()
RATE = _Rate()
SUBSET = _Subset()
PAIR = _Pair()
VERSION_OF = _VersionOf()
PROGRAM_OF = _ProgramOf()
MIRROR = _Mirror()
