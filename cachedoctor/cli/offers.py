"""What a shell offers when TAB is pressed: names, each with a short description.

click calls these functions; each imports only what its own answer needs. A question without an
answer gets no offer, and never a message: the line is still being written.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cachedoctor.vocabulary import SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from click.shell_completion import CompletionItem

    from cachedoctor.engines.catalog import Table

    Offers = list[CompletionItem]


def engines(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Offers:
    """Offer the engines, with how many models each knows and where it keeps them."""
    from cachedoctor import engines as known

    return [
        _offer(name, about=f"{len(engine.table.models)} models; {', '.join(engine.locators)}")
        for name in known.names()
        if name.startswith(incomplete)
        for engine in (known.find(name),)
    ]


def engines_or_codes(ctx: click.Context, param: click.Parameter, incomplete: str) -> Offers:
    """Offer what `fix` takes."""
    found = _codes(incomplete, slugs=False) if incomplete[:1] in ("", "C", "c") else []
    return [*engines(ctx, param, incomplete), *found]


def engines_or_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> Offers:
    """Offer what `verify` takes: engines, and files if no engine begins like this."""
    return engines(ctx, param, incomplete) or files(ctx, param, incomplete)


def codes(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Offers:
    """Offer the codes of findings, and their names once the word cannot be a code."""
    return _codes(incomplete, slugs=True)


def sizes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Offers:
    """Offer the sizes, with the models that answer each for the engine on the line."""
    table = next(_tables(ctx), None)
    answers = table.sizes if table else dict.fromkeys(SIZES, ())
    return [
        _offer(size, about=", ".join(models) or None)
        for size, models in answers.items()
        if size.startswith(incomplete)
    ]


def models(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Offers:
    """Offer the models of the engines on the line, with about what each costs to download."""
    return [
        _offer(name, about=cost or None)
        for table in _tables(ctx)
        for name, cost in _costs(table)
        if name.startswith(incomplete)
    ]


def questions(ctx: click.Context, param: click.Parameter, incomplete: str) -> Offers:
    """Offer `ENGINE:SIZE`, and models too once the engine is typed.

    bash makes separate words of a colon and what follows it.
    """
    from cachedoctor.engines import catalog

    if any(ctx.params.get(key) for key in ("check", "register", "unregister")):  # lock files
        return files(ctx, param, incomplete)
    before = ctx.params.get(param.name or "") or ()
    engine, colon, rest = incomplete.partition(":")
    lead = engine + colon
    if before[-1:] == (":",):
        engine, colon, rest, lead = "".join(before[-2:-1]), ":", incomplete, ""
    elif incomplete == ":":
        engine, lead = "".join(before[-1:]), ""
    if not colon:
        pairs = [f"{name}:{size}" for name in catalog.names() for size in SIZES]
        return [_offer(pair) for pair in pairs if pair.startswith(incomplete)]
    if engine not in catalog.names():
        return []
    table = catalog.read(engine)
    sized = {size: ", ".join(answers) for size, answers in table.sizes.items()}
    named = sized | {name: cost for name, cost in _costs(table) if name not in sized}
    return [
        _offer(lead + name, about=about or None)
        for name, about in named.items()
        if name.startswith(rest)
    ]


def runs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Offers:
    """Offer the fixes that can be taken back, the newest first, with their time and extent."""
    from cachedoctor.errors import CacheDoctorError
    from cachedoctor.host import Host
    from cachedoctor.runs import applying
    from cachedoctor.text import plural

    try:
        host = Host.look(home=ctx.params.get("home"), platform=ctx.params.get("platform"))
        found = applying.undoable(host)
    except CacheDoctorError:
        return []
    return [
        _offer(
            run.id,
            about=f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(run.created_s))}, "
            f"{plural(len(run.repairs), 'repair')}",
        )
        for run in reversed(found)
        if run.id.startswith(incomplete)
    ]


def schemas(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Offers:
    """Offer the answers that have a schema, each with its description."""
    from cachedoctor.report import schema

    parts = schema.whole()["$defs"]
    return [
        _offer(name, about=parts[name]["description"])
        for name in schema.names()
        if name.startswith(incomplete)
    ]


def amounts(incomplete: str, units: tuple[str, ...]) -> Offers:
    """Offer the typed number with each of the units."""
    number = incomplete.rstrip("".join(set("".join(units))))
    return beginnings(incomplete, [f"{number}{unit}" for unit in units] if number.isdigit() else [])


def beginnings(incomplete: str, known: Iterable[str]) -> Offers:
    """Offer what begins with the typed text."""
    return [_offer(word) for word in known if word.startswith(incomplete)]


def files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Offers:
    """Let the shell offer files."""
    return [_offer(incomplete, kind="file")]


def folders(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Offers:
    """Let the shell offer folders."""
    return [_offer(incomplete, kind="dir")]


def _codes(incomplete: str, *, slugs: bool) -> Offers:
    from cachedoctor import rules

    found = [
        _offer(rule.code, about=f"{rule.slug}: {rule.title()}")
        for rule in rules.every()
        if rule.code.startswith(incomplete.upper())
    ]
    if found or not slugs:
        return found
    return [
        _offer(rule.slug, about=f"{rule.code}: {rule.title()}")
        for rule in rules.every()
        if rule.slug.startswith(incomplete)
    ]


def _tables(ctx: click.Context) -> Iterator[Table]:
    """Yield the tables of the engines that the line names."""
    from cachedoctor.engines import catalog

    known = catalog.names()
    for name in dict.fromkeys(word for word in _words(ctx) if word in known):
        yield catalog.read(name)


def _words(ctx: click.Context) -> list[str]:
    """Return the words of the line; click leaves them in `args` when an option lacks its value."""
    found = list(ctx.args)
    for value in ctx.params.values():
        found += [value] if isinstance(value, str) else value if isinstance(value, tuple) else ()
    return found


def _costs(table: Table) -> Iterator[tuple[str, str]]:
    """Yield an engine's models, each with about what it costs to download."""
    from cachedoctor.text import size

    for name, model in table.models.items():
        yield name, size(model.download_bytes) if model.download_bytes else ""


def _offer(value: str, *, about: str | None = None, kind: str = "plain") -> CompletionItem:
    from click.shell_completion import CompletionItem  # nothing else needs it

    return CompletionItem(value, kind, about)
