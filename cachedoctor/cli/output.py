"""How a command answers: in which form, and how much of it."""

from __future__ import annotations

from cachedoctor.values import NamedTuple


class Output(NamedTuple):
    """What `--format`, `-q` and `-v` say, where a command offers them."""

    format: str = "text"
    quiet: bool = False
    verbose: bool = False

    @property
    def json(self) -> bool:
        """Return whether a program reads the answer."""
        return self.format == "json"

    @property
    def shown(self) -> bool:
        """Return whether a person reads the answer, and wants one."""
        return self.format == "text" and not self.quiet
