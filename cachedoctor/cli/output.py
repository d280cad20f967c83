"""How a command answers: in which format, and how much of it."""

from __future__ import annotations

from cachedoctor.values import NamedTuple


class Output(NamedTuple):
    """The values of `--format`, `-q` and `-v`, where a command offers them."""

    format: str = "text"
    quiet: bool = False
    verbose: bool = False

    @property
    def json(self) -> bool:
        """Return whether a program reads the answer."""
        return self.format == "json"

    @property
    def shown(self) -> bool:
        """Return whether a person reads the answer and wants one."""
        return self.format == "text" and not self.quiet
