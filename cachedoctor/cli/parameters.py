"""What commands take, as types: each reads its text, refuses what is wrong, and offers on TAB."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from cachedoctor.cli import offers
from cachedoctor.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _Base = click.ParamType[Any]
else:  # generic since click 8.2
    _Base = click.ParamType

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class _Type(_Base):
    """A type whose text is read once; while a shell asks for offers nothing is refused."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Read a text; what was read already is let through, as a default is."""
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
        """Return the code that a code or a slug means."""
        from cachedoctor import rules
        from cachedoctor.vocabulary import nearest

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


class _Age(_Type):
    """An age such as `30d`, in seconds."""

    name = "age"

    def read(self, text: str, param: click.Parameter | None) -> int:
        """Return seconds."""
        found = re.fullmatch(r"(\d+)([smhd])", text)
        if found is None:
            raise UsageError(f"no age: `{text}`", hint="write 30d, 12h, 45m or 90s")
        return int(found[1]) * _UNITS[found[2]]


class _Rate(_Type):
    """A rate such as `50M`, in bytes a second."""

    name = "rate"

    def read(self, text: str, param: click.Parameter | None) -> int:
        """Return bytes a second."""
        found = re.fullmatch(r"([1-9]\d*)([KMG])", text)
        if found is None:
            raise UsageError(f"no rate: `{text}`", hint="write 500K, 50M or 1G, in bytes a second")
        return int(found[1]) << {"K": 10, "M": 20, "G": 30}[found[2]]


class _Subset(_Type):
    """One of several parts, such as `3/8`."""

    name = "subset"

    def read(self, text: str, param: click.Parameter | None) -> tuple[int, int]:
        """Return which part, and of how many."""
        found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text)
        number, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= of:
            raise UsageError(f"no part: `{text}`", hint="write 1/8 for the first of eight")
        return number, of


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


ENGINE = _Engine()
CODE = _Code()
AGE = _Age()
RATE = _Rate()
SUBSET = _Subset()
PAIR = _Pair()
OF_ENGINE = _OfEngine()
