"""Models → areas as large as their bytes, by place, engine, app, repository or machine.

All lengths are percentages, so a chart is as wide as its page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.report.page.areas import Box, squarified
from cachedoctor.text import plural, size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cachedoctor.report.page.readings import Model

_WHOLE = Box(0, 0, 1000, 520)  # the shape that keeps areas nearly square
_MOST_AREAS = 200
_MOST_GROUPS = 12  # the rest form one group
_LABEL = (7.0, 9.0)  # percentages of width and height: anything smaller holds no words
_NARROW = 22.0  # anything narrower holds no words on a phone
_COLORS = 8


class Area(NamedTuple):
    """One rectangle: a model, or the rest of a group."""

    x: str
    y: str
    width: str
    height: str
    label: str  # empty if there is no room for words
    narrow: bool
    amount: str
    title: str
    href: str
    broken: bool


class Share(NamedTuple):
    """One group of a chart, with its models."""

    label: str
    color: int
    amount: str
    percent: str
    areas: tuple[Area, ...]


class Chart(NamedTuple):
    """The space by one way to divide it."""

    by: str
    shares: tuple[Share, ...]


class _Piece(NamedTuple):
    label: str
    bytes: int
    title: str
    href: str
    broken: bool


def charts(
    ways: Mapping[str, Callable[[Model], str]],
    models: Sequence[Model],
    anchors: Mapping[tuple[str, str], str],
    loose: Sequence[tuple[str, int, str]],
) -> list[Chart]:
    """Return a chart for each way to divide models; a way that divides nothing is left out.

    `loose` is what is beside models: a name, its bytes, and where it links.
    """
    shown = [model for model in models if model.bytes]
    made = [_chart(by, group, shown, anchors, loose) for by, group in ways.items()]
    full = [chart for chart in made if chart.shares]
    return [chart for chart in full if len(chart.shares) > 1] or full[:1]


def _chart(
    by: str,
    group: Callable[[Model], str],
    models: Sequence[Model],
    anchors: Mapping[tuple[str, str], str],
    loose: Sequence[tuple[str, int, str]],
) -> Chart:
    pieces: dict[str, list[_Piece]] = {}
    for model in models:
        pieces.setdefault(group(model), []).append(_piece(model, anchors))
    beside = [
        _Piece(name, count, f"{name}: {size(count)}", href, broken=False)
        for name, count, href in loose
        if count
    ]
    if beside:
        pieces["not part of a model"] = beside
    ordered = sorted(pieces.items(), key=lambda item: -_sum(item[1]))
    if len(ordered) > _MOST_GROUPS:
        rest = [piece for _, mine in ordered[_MOST_GROUPS - 1 :] for piece in mine]
        ordered = [*ordered[: _MOST_GROUPS - 1], (f"{len(ordered) - _MOST_GROUPS + 1} more", rest)]
        ordered.sort(key=lambda item: -_sum(item[1]))
    least = _least([piece.bytes for _, mine in ordered for piece in mine])
    boxes = squarified([_sum(mine) for _, mine in ordered], _WHOLE)
    total = sum(_sum(mine) for _, mine in ordered)
    return Chart(
        by,
        tuple(
            Share(
                label=label,
                color=number % _COLORS,
                amount=size(_sum(mine)),
                percent=f"{100 * _sum(mine) / total:.0f} %",
                areas=tuple(_areas(_drawn(mine, least), box)),
            )
            for number, ((label, mine), box) in enumerate(zip(ordered, boxes, strict=True))
        ),
    )


def _piece(model: Model, anchors: Mapping[tuple[str, str], str]) -> _Piece:
    engines = ", ".join(model.engines) or "no known engine"
    title = f"{model.title}, {engines}: {size(model.bytes)}, {model.status}"
    anchor = anchors.get((model.machine, model.id), "models")
    return _Piece(model.title, model.bytes, title, f"#{anchor}", model.broken)


def _sum(pieces: Sequence[_Piece]) -> int:
    return sum(piece.bytes for piece in pieces)


def _least(sizes: Sequence[int]) -> int:
    """Return how large a piece must be to get its own area."""
    ordered = sorted(sizes, reverse=True)
    return ordered[_MOST_AREAS - 1] if len(ordered) >= _MOST_AREAS else 0


def _drawn(pieces: Sequence[_Piece], least: int) -> list[_Piece]:
    """Return the pieces of a group to draw: small ones together."""
    ordered = sorted(pieces, key=lambda piece: -piece.bytes)
    large = [piece for piece in ordered if piece.bytes >= least][:_MOST_AREAS]
    small = ordered[len(large) :]
    if len(small) > 1:
        label = plural(len(small), "smaller model")
        large.append(_Piece(label, _sum(small), f"{label}: {size(_sum(small))}", "#models", False))
    else:
        large += small
    return sorted(large, key=lambda piece: -piece.bytes)


def _areas(pieces: Sequence[_Piece], box: Box) -> list[Area]:
    boxes = squarified([piece.bytes for piece in pieces], box)
    return [_area(piece, each) for piece, each in zip(pieces, boxes, strict=True)]


def _area(piece: _Piece, box: Box) -> Area:
    width, height = 100 * box.width / _WHOLE.width, 100 * box.height / _WHOLE.height
    fits = width >= _LABEL[0] and height >= _LABEL[1]
    return Area(
        x=_share(100 * box.x / _WHOLE.width),
        y=_share(100 * box.y / _WHOLE.height),
        width=_share(width),
        height=_share(height),
        label=piece.label if fits else "",
        narrow=width < _NARROW,
        amount=size(piece.bytes),
        title=piece.title,
        href=piece.href,
        broken=piece.broken,
    )


def _share(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") + "%"
