"""Run the command line: `python -m cachedoctor`, and the installed `cachedoctor`."""

from __future__ import annotations

import gc


def main() -> None:
    """Run a command without looking for cycles, of which its many values have none to speak of."""
    gc.disable()
    from cachedoctor import cli

    try:
        cli.main()
    finally:
        gc.freeze()  # nor does Python look for them when it ends


if __name__ == "__main__":
    main()
