"""Write the Homebrew formula of a release: where its wheels are, and their digests.

    python release/formula.py --base-url URL dist/*.whl -o dist/cachedoctor.rb

A Mac with Apple silicon gets the wheel with the bridges, everything else the pure one.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

TEMPLATE = Path(__file__).parent / "cachedoctor.rb.in"


def formula(base_url: str, wheels: list[Path]) -> str:
    """Return the formula; raises `SystemExit` where one of both wheels is not among those given."""
    filled = TEMPLATE.read_text(encoding="utf-8")
    filled = filled.replace("@HOMEPAGE@", base_url.partition("/releases/")[0])
    for name, ending in (("PURE", "-py3-none-any.whl"), ("MAC", "-py3-none-macosx_*_arm64.whl")):
        found = [wheel for wheel in wheels if wheel.match(f"*{ending}")]
        if len(found) != 1:
            raise SystemExit(f"{len(found)} wheels end in `{ending}`; one is needed")
        digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
        filled = filled.replace(f"@{name}_URL@", f"{base_url.rstrip('/')}/{found[0].name}")
        filled = filled.replace(f"@{name}_SHA256@", digest)
    left = re.findall(r"@[A-Z0-9_]+@", filled)
    if left:
        raise SystemExit(f"the template asks for {left[0]}, which nothing fills")
    return filled


def main() -> None:
    """Read the command line and write the formula."""
    parser = argparse.ArgumentParser()
    parser.add_argument("wheels", type=Path, nargs="+")
    parser.add_argument("--base-url", required=True, help="of the folder with the wheels")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    asked.output.write_text(formula(asked.base_url, asked.wheels), encoding="utf-8")


if __name__ == "__main__":
    main()
