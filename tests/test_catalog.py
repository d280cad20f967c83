"""The catalogue says what the released packages say; they are read, not imported."""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from cachedoctor import catalog
from cachedoctor.catalog import Table
from cachedoctor.errors import CacheDoctorError, UsageError
from tests import weights

if TYPE_CHECKING:
    from pathlib import Path

FASTER_WHISPER = weights.Wheel(
    "faster-whisper==1.2.1",
    "79a66ad50688c0b794dd501dc340a736992a6342f7f95e5811be60b5224a26a7",
)
WHISPER_MPS = weights.Wheel(
    "whisper-mps==0.0.10",
    "4bdcf0fd7a1456aece18938e0bb704fd258df2a38f6a8450d3282de841be45c7",
)
OPENAI_WHISPER = "37a91a3921809d9f44748ffc73c0a55c9f366c85a3ef5c2ae0cc09540432eb96"


def models_in(source: bytes) -> dict[str, str]:
    """Return the dictionary `_MODELS` of a module's source."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_MODELS":
            found: dict[str, str] = ast.literal_eval(node.value)
            return found
    raise AssertionError("the package has no `_MODELS` any more")


def of_wheel(wheel: weights.Wheel, member: str) -> dict[str, str]:
    """Return the table in one module of a released wheel."""
    weights.CACHE.mkdir(parents=True, exist_ok=True)
    try:
        with weights.opened(wheel) as archive:
            return models_in(archive.read(member))
    except weights.IndexUnavailableError as error:
        pytest.skip(str(error))


def ours(table: Table) -> dict[str, str]:
    """Return what the catalogue makes of every name, aliases included."""
    names = {name: name for name in table.models} | dict(table.aliases)
    rows = {name: table.models[known] for name, known in names.items()}
    return {name: row.url or row.repository for name, row in rows.items()}


@pytest.mark.real
def test_faster_whisper_has_these_repositories() -> None:
    """Every name of faster-whisper 1.2.1 means the repository that the catalogue gives."""
    released = of_wheel(FASTER_WHISPER, "faster_whisper/utils.py")
    assert ours(catalog.read("faster-whisper")) == released


@pytest.mark.real
def test_whisper_mps_has_these_addresses() -> None:
    """Every name of whisper-mps 0.0.10 means the address that the catalogue gives."""
    released = of_wheel(WHISPER_MPS, "whisper_mps/whisper/load_models.py")
    assert ours(catalog.read("whisper-mps")) == released


@pytest.mark.real
def test_openai_whisper_has_these_addresses(tmp_path: Path) -> None:
    """Every name of openai-whisper 20250625 means the address that the catalogue gives."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary"]
    command += ["openai-whisper", "openai-whisper==20250625", "-d", str(tmp_path)]
    subprocess.run(command, env=weights.ENVIRONMENT, capture_output=True, check=False)
    found = list(tmp_path.glob("*.tar.gz"))
    if not found:
        pytest.skip("the package index gave no openai-whisper")
    assert hashlib.sha256(found[0].read_bytes()).hexdigest() == OPENAI_WHISPER
    with tarfile.open(found[0]) as archive:
        member = archive.extractfile("openai_whisper-20250625/whisper/__init__.py")
        assert member is not None
        released = models_in(member.read())
    assert ours(catalog.read("openai-whisper")) == released


@pytest.mark.parametrize("engine", ["openai-whisper", "whisper-mps"])
def test_each_address_holds_the_digest_of_its_file(engine: str) -> None:
    """The SHA-256 of a CDN file is the last folder of its address."""
    for model in catalog.read(engine).models.values():
        ((need,),) = [files.requirements for files in model.sets]
        assert need.digest is not None
        assert model.url.split("/")[-2:] == [need.digest.hex, f"{model.name}.pt"]


def test_the_assumed_version_chooses_the_file_set_and_the_folder() -> None:
    """Each range of FluidAudio has its own bundles and folder, and the newest is the default."""
    table = catalog.read("fluidaudio")
    v3 = table.model("v3")
    for version, folder, joint in (
        ("0.8.2", "parakeet-tdt-0.6b-v3-coreml", "JointDecision.mlmodelc"),
        ("0.13.2", "parakeet-tdt-0.6b-v3-coreml", "JointDecision.mlmodelc"),
        ("0.13.4", "parakeet-tdt-0.6b-v3", "JointDecision.mlmodelc"),
        ("0.14.0", "parakeet-tdt-0.6b-v3", "JointDecision.mlmodelc"),
        ("0.14.1", "parakeet-tdt-0.6b-v3", "JointDecisionv3.mlmodelc"),
        ("v0.15.6", "parakeet-tdt-0.6b-v3", "JointDecisionv3.mlmodelc"),
        ("", "parakeet-tdt-0.6b-v3", "JointDecisionv3.mlmodelc"),
    ):
        needs = table.claim(v3, version).needs
        assert needs.folder == folder, version
        assert joint in [need.names[0] for need in needs.requirements], version


def test_an_older_faster_whisper_means_the_older_repository() -> None:
    """Up to 0.9 the names meant guillaumekln's repositories."""
    table = catalog.read("faster-whisper")
    tiny = table.model("tiny")
    assert catalog.repository_of(tiny, "0.9.0") == "guillaumekln/faster-whisper-tiny"
    assert catalog.repository_of(tiny, "0.10.0") == "Systran/faster-whisper-tiny"
    assert catalog.repository_of(tiny, "") == "Systran/faster-whisper-tiny"


def test_unknown_names_bring_the_nearest() -> None:
    """An unknown model or size is refused with what was probably meant."""
    table = catalog.read("faster-whisper")
    with pytest.raises(UsageError, match=r"did you mean `large-v3-turbo`"):
        table.model("large-v3-trubo")
    with pytest.raises(UsageError, match=r"did you mean `medium`"):
        table.answers("mediun")


def test_a_mistake_in_a_table_names_file_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table with a mistake is an error that says where."""
    monkeypatch.setattr(catalog, "__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "broken.toml").write_text('engine = "broken"\nversions = []\nsource = "x"\n')
    with pytest.raises(CacheDoctorError, match=r"broken\.toml.*sizes"):
        catalog.read("broken")
