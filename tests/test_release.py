"""What a release is made with: one version everywhere, one file that runs, a bill, a formula."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cachedoctor.system import shipped
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from types import ModuleType

_ROOT = Path(__file__).parent.parent
_INSIDE = ("click", "platformdirs", "tqdm")


def tool(name: str) -> ModuleType:
    """Return one of the release's scripts."""
    spec = importlib.util.spec_from_file_location(name, _ROOT / "release" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_everything_names_one_version() -> None:
    """And the tag of it is the only one that fits."""
    agree = tool("agree")
    assert agree.troubles() == []
    assert f"the tag is `v9.9.9`, the version `{VERSION}`" in agree.troubles("v9.9.9")


def test_the_index_gets_links_that_lead_somewhere(tmp_path: Path) -> None:
    """Absolute ones to the revision that is released, and the addresses beside the package."""
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(_ROOT / name, tmp_path / name)
    address = tool("address")
    address.main("https://example.org/somebody/cachedoctor/", "v9.9.9", tmp_path)
    readme = (tmp_path / "README.md").read_text()
    targets = re.findall(r"\]\(([^)\s]+)\)", readme)
    assert len(targets) > 10
    there = "https://example.org/somebody/cachedoctor/(blob|raw)/v9.9.9/"
    for target in targets:
        assert re.match(there, target), target
        assert (_ROOT / re.sub(there, "", target)).exists(), target
    assert "](https://example.org/somebody/cachedoctor/raw/v9.9.9/docs/figures/" in readme
    urls = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]["urls"]
    assert urls["Source"] == "https://example.org/somebody/cachedoctor"
    with pytest.raises(SystemExit, match="addresses already"):
        address.main("https://example.org/somebody/cachedoctor", "v9.9.9", tmp_path)
    with pytest.raises(SystemExit, match="no repository"):
        address.main("OWNER/cachedoctor", "v9.9.9", tmp_path)


def test_a_version_that_was_forgotten_is_named(tmp_path: Path) -> None:
    """Each place of its own."""
    agree = tool("agree")
    names = list(agree.versions())
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_ROOT / name, tmp_path / name)
    assert agree.troubles(root=tmp_path) == []
    for name in names[1:]:
        file = tmp_path / name
        whole = file.read_text()
        file.write_text(whole.replace(VERSION, "0.0.9", 1))
        assert [line.split()[0] for line in agree.troubles(root=tmp_path)] == [name]
        file.write_text(whole)
    changes = tmp_path / "CHANGELOG.md"
    changes.write_text(f"## {VERSION} (in development)\n")
    assert agree.troubles(f"v{VERSION}", tmp_path) == [
        f"CHANGELOG.md calls `{VERSION}` in development"
    ]


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the single file from this checkout and from what is installed beside it."""
    folder = tmp_path_factory.mktemp("single")
    wheel = folder / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for package in ("cachedoctor", *_INSIDE):
            found = importlib.util.find_spec(package)
            assert found is not None
            assert found.origin is not None
            place = _ROOT / package if package == "cachedoctor" else Path(found.origin).parent
            for path in sorted(place.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    archive.write(path, f"{package}/{path.relative_to(place)}")
        archive.writestr("x.data/scripts/whisperkit-bridge", "no part of it")
        archive.writestr("x.dist-info/RECORD", "")
    pyz = tool("pyz")
    output = folder / "cachedoctor.pyz"
    files = {**pyz.gather([wheel]), "__main__.py": pyz._START.encode()}
    pyz.write(files, output)
    again = folder / "again.pyz"
    pyz.write(dict(reversed(files.items())), again)
    assert again.read_bytes() == output.read_bytes()
    assert not any("RECORD" in name or ".data/" in name for name in files)
    return output


def run(single: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the single file in a Python that has nothing else."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(single), *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_single_file_is_the_whole_program(single: Path, tmp_path: Path) -> None:
    """Data, modules that are found, programs that it starts: all of it from the zip."""
    assert run(single, "--version", cwd=tmp_path).stdout == f"cachedoctor, version {VERSION}\n"
    here = [sys.executable, "-m", "cachedoctor"]
    for words in (["explain"], ["engines", "--json"], ["schema"]):
        ended = run(single, *words, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        same = subprocess.run(
            [*here, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert ended.stdout == same.stdout
    toured = run(single, "demo", str(tmp_path / "mac"), cwd=tmp_path)  # it starts itself
    assert toured.returncode == 0
    assert "CD410" in toured.stdout
    mac = ("--home", str(tmp_path / "mac"), "--platform", "darwin", "--json")
    codes = {
        each["code"]
        for each in json.loads(run(single, "scan", *mac, cwd=tmp_path).stdout)["findings"]
    }
    assert {"CD101", "CD102", "CD103", "CD401"} <= codes
    log = tmp_path / "log"
    log.write_text(
        "File model.bin is incomplete: failed to read a buffer of size 4 at position 8\n"
    )
    assert "CD201" in run(single, "diagnose", str(log), cwd=tmp_path).stdout


def test_what_other_programs_read_is_taken_out_of_the_single_file(
    single: Path, tmp_path: Path
) -> None:
    """Runners of engines and the clip are files while the process lives."""
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from cachedoctor.system import shipped\n"
        "runners = shipped.folder('cachedoctor.bench', 'runners')\n"
        "clip = os.path.join(shipped.folder('cachedoctor.bench'), 'clip.wav')\n"
        "print(runners, sorted(os.listdir(runners)), os.path.getsize(clip), sep='\\n')\n"
        "print(shipped.command('cachedoctor.system.hub_client')[2])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(single)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    runners, names, length, flag = ended.stdout.splitlines()
    here = _ROOT / "cachedoctor" / "bench"
    assert names == str(sorted(p.name for p in (here / "runners").iterdir() if p.is_file()))
    assert int(length) == (here / "clip.wav").stat().st_size
    assert flag == "-c"
    assert not Path(runners).exists()


def test_a_python_that_is_too_old_is_told(single: Path) -> None:
    """The first thing that runs is understood by every Python 3."""
    with zipfile.ZipFile(single) as archive:
        start = archive.read("__main__.py").decode()
    assert start.index("sys.version_info < (3, 11)") < start.index("from cachedoctor")
    before = start.partition("from cachedoctor")[0]
    ended = subprocess.run(
        [sys.executable, "-c", before.replace("< (3, 11)", "< (9,)")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("cachedoctor needs Python 3.11 or later, and this is ")


def test_what_is_in_the_package_is_found_without_a_zip() -> None:
    """The same answers as the folders themselves."""
    names = {path.name for path in (_ROOT / "cachedoctor" / "rules").iterdir()}
    assert set(shipped.names("cachedoctor.rules")) >= names - {"__pycache__"}
    assert "precedence" in shipped.modules("cachedoctor.rules")
    assert "_entries" not in shipped.modules("cachedoctor.rules")
    assert shipped.command("cachedoctor") == [sys.executable, "-P", "-m", "cachedoctor"]
    assert shipped.folder("cachedoctor.bench", "runners").endswith("bench/runners")


def test_the_bill_names_everything(tmp_path: Path) -> None:
    """Each file by its digest; each thing inside by its version, digest or commit."""
    file = tmp_path / "a.whl"
    file.write_bytes(b"wheel")
    bill = tool("sbom").bill([file])
    about = bill["metadata"]["component"]
    assert about["version"] == VERSION
    (one,) = about["components"]
    assert one["hashes"][0]["content"] == hashlib.sha256(b"wheel").hexdigest()
    found = {each["purl"] for each in bill["components"]}
    assert any(purl.startswith("pkg:pypi/click@") for purl in found)
    assert "pkg:pypi/huggingface_hub" in found
    assert {p.split("@")[0] for p in found if p.startswith("pkg:swift")} == {
        "pkg:swift/github.com/argmaxinc/argmax-oss-swift",
        "pkg:swift/github.com/FluidInference/FluidAudio",
        "pkg:swift/github.com/apple/swift-argument-parser",
    }
    refs = [each["bom-ref"] for each in bill["components"]]
    assert len(refs) == len(set(refs))


def test_the_formula_is_of_these_wheels(tmp_path: Path) -> None:
    """Where they are and their digests; without one of both there is none."""
    pure = tmp_path / f"model_cache_doctor-{VERSION}-py3-none-any.whl"
    mac = tmp_path / f"model_cache_doctor-{VERSION}-py3-none-macosx_14_0_arm64.whl"
    for wheel in (pure, mac):
        wheel.write_bytes(wheel.name.encode())
    formula = tool("formula").formula
    text = formula("https://example.org/them/it/releases/v1/", [pure, mac])
    assert 'homepage "https://example.org/them/it"' in text
    for wheel in (pure, mac):
        assert f'url "https://example.org/them/it/releases/v1/{wheel.name}"' in text
        assert hashlib.sha256(wheel.name.encode()).hexdigest() in text
    assert "@" not in text.replace("python@3.13", "")
    if shutil.which("ruby"):
        subprocess.run(["ruby", "-c"], input=text, text=True, check=True, capture_output=True)
    with pytest.raises(SystemExit, match="0 wheels end in `-py3-none-macosx"):
        formula("https://example.org", [pure])


def test_two_wheels_with_one_name_are_refused(tmp_path: Path) -> None:
    """The second would hide the first."""
    for name in ("a.whl", "b.whl"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("click/__init__.py", name)
    with pytest.raises(SystemExit, match=r"two wheels hold `click/__init__\.py`"):
        tool("pyz").gather([tmp_path / "a.whl", tmp_path / "b.whl"])
