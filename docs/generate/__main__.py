"""Write the reference: `python -m docs.generate docs`."""

from __future__ import annotations

import sys

from docs.generate.pages import main

main(sys.argv[1:])
