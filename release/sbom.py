"""Write a bill of materials, CycloneDX 1.5, of what a release's files hold.

    python release/sbom.py dist/*.whl dist/*.pyz -o dist/cachedoctor.cdx.json

Names what the wheels ask for, what is in the single file (by its pinned digests), what the bridges
are linked from (by the commits that Swift's package manager resolved), and each file's digest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def bill(files: list[Path]) -> dict[str, Any]:
    """Return the bill; the same files make the same one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": f"pkg:pypi/{name}@{version}",
                "name": name,
                "version": version,
                "purl": f"pkg:pypi/{name}@{version}",
                "licenses": [{"license": {"id": project["license"]}}],
                "components": [_file(path) for path in sorted(files)],
            }
        },
        "components": [*_asked(project["dependencies"]), *_pinned(), *_swift()],
    }


def _file(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    hashes = [{"alg": "SHA-256", "content": digest}]
    return {"type": "file", "bom-ref": path.name, "name": path.name, "hashes": hashes}


def _asked(requirements: list[str]) -> list[dict[str, Any]]:
    """Return what an installer brings with a wheel, in a version of its choice."""
    return [
        _component(f"pkg:pypi/{name}", name, None, "wheels ask for it: " + requirement)
        for requirement in requirements
        for name in re.findall(r"^[A-Za-z0-9_.-]+?(?=[>=<\[ ;]|$)", requirement)
    ]


def _pinned() -> list[dict[str, Any]]:
    """Return what is inside the single file."""
    text = (ROOT / "release" / "pyz-requirements.txt").read_text(encoding="utf-8")
    found = re.findall(r"^(\S+)==(\S+) --hash=sha256:([0-9a-f]{64})$", text, re.MULTILINE)
    return [
        {
            **_component(f"pkg:pypi/{name}@{version}", name, version, "in the single file"),
            "hashes": [{"alg": "SHA-256", "content": digest}],
        }
        for name, version, digest in found
    ]


def _swift() -> list[dict[str, Any]]:
    """Return what the bridges are linked from, on a Mac."""
    text = (ROOT / "swift" / "Mac" / "Package.resolved").read_text(encoding="utf-8")
    found = []
    for pin in json.loads(text)["pins"]:
        place = pin["location"].removeprefix("https://").removesuffix(".git")
        version = pin["state"]["version"]
        component = _component(
            f"pkg:swift/{place}@{version}", pin["identity"], version, "source of the bridges"
        )
        found.append({**component, "pedigree": {"commits": [{"uid": pin["state"]["revision"]}]}})
    return found


def _component(ref: str, name: str, version: str | None, why: str) -> dict[str, Any]:
    known = {"version": version} if version else {}
    return {
        "type": "library",
        "bom-ref": ref,
        "name": name,
        **known,
        "purl": ref,
        "description": why,
    }


def main() -> None:
    """Read the command line and write the bill."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    asked.output.write_text(json.dumps(bill(asked.files), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
