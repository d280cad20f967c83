"""Run the command line: `python -m cachedoctor`, and the installed `cachedoctor`."""

from __future__ import annotations

import gc


def main() -> None:
    """Run a command without garbage collection, because its many values form hardly any cycles."""
    gc.disable()
    from cachedoctor import cli

    try:
        cli.main()
    finally:
        gc.freeze()  # so that exit does not collect either


if __name__ == "__main__":
    main()
