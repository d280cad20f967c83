"""Run the command line: `python -m cachedoctor`, and the installed `cachedoctor`."""

from __future__ import annotations

from cachedoctor.cli import main

if __name__ == "__main__":
    main()
