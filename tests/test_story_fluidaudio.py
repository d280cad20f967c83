"""The FluidAudio story: a folder that lacks almost everything is made whole, and taken back."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.conftest import fingerprint
from tests.support import coreml_bundles, worlds
from tests.support.command import Ended, cachedoctor
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from pathlib import Path

REPOSITORY = "FluidInference/parakeet-tdt-0.6b-v3-coreml"
NEW, OLD = "parakeet-tdt-0.6b-v3", "parakeet-tdt-0.6b-v3-coreml"
REQUIRED = ("Preprocessor", "Encoder", "Decoder", "JointDecisionv3")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Return a whole folder of the model, small and true in structure."""
    folder = tmp_path / "official"
    folder.mkdir()
    coreml_bundles.fluidaudio_v3(folder)
    shutil.rmtree(folder / "JointDecision.mlmodelc")  # of versions before 0.14.1
    return folder


@pytest.fixture
def models(home: Path) -> Path:
    """Return FluidAudio's folder in a Mac's home."""
    folder = home / "Library" / "Application Support" / "FluidAudio" / "Models"
    folder.mkdir(parents=True)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by its name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def before_0_14_1(folder: Path) -> None:
    """Give the joint network the name that it had before it changed."""
    (folder / "JointDecisionv3.mlmodelc").rename(folder / "JointDecision.mlmodelc")


def served(folder: Path) -> dict[str, bytes | Path]:
    """Return the files of a folder for the loopback hub."""
    return dict(contents(folder))


def in_hub(home: Path, official: Path) -> Path:
    """Put the whole model into the hub cache, as snapshot links to blobs."""
    return worlds.repository(worlds.hub_of(home), REPOSITORY, contents(official))


def as_in_the_seed(models: Path, official: Path) -> Path:
    """Make the folder hold a hollow Encoder of 4 KiB, a whole Decoder and nothing else."""
    folder = models / OLD
    (folder / "Encoder.mlmodelc").mkdir(parents=True)
    (folder / "Encoder.mlmodelc" / "metadata.json").write_bytes(b"[{}]".ljust(4096))
    shutil.copytree(official / "Decoder.mlmodelc", folder / "Decoder.mlmodelc")
    return folder


def on(home: Path, command: str, *arguments: str) -> Ended:
    """Run a command on the Mac's home."""
    return cachedoctor(command, *arguments, "--home", str(home), "--platform", "darwin")


def test_the_story_of_the_seed(home: Path, models: Path, official: Path) -> None:
    """A hub snapshot makes the folder whole byte for byte, offline; undo brings back the rest."""
    in_hub(home, official)
    as_in_the_seed(models, official)
    before = fingerprint(home)
    found = on(home, "scan", "--json")
    assert found.code == 1
    assert found.codes == ["CD101", "CD101", "CD101", "CD102", "CD410"]
    assert fingerprint(home) == before
    refused = on(home, "preflight", "fluidaudio", "--size", "large")
    assert (refused.code, refused.output.count("\n")) == (1, 1)
    fixed = on(home, "fix", "fluidaudio", "--yes", "--offline")
    assert fixed.code == 0, fixed.output + fixed.errors
    assert not (models / OLD).exists()
    whole = contents(models / NEW)
    wanted = {
        name: data
        for name, data in contents(official).items()
        if name.startswith(REQUIRED) or name == "parakeet_vocab.json"
    }
    assert {name: data for name, data in whole.items() if name in wanted} == wanted
    assert not any(path.is_symlink() for path in models.rglob("*"))
    clean = on(home, "scan", "--deep", "--json", "--fail-on", "note")
    assert (clean.code, clean.codes) == (0, [])
    assert on(home, "preflight", "fluidaudio", "--size", "large").output.startswith("ready")
    assert on(home, "undo").code == 0
    assert fingerprint(home) == before


def test_links_that_were_copied_out_of_the_hub_are_a_hollow_bundle(
    home: Path, models: Path, official: Path
) -> None:
    """`cp -r` of a snapshot keeps its links, which lead nowhere; fix puts real files there."""
    repository = in_hub(home, official)
    shutil.copytree(repository / "snapshots" / worlds.COMMIT, models / NEW, symlinks=True)
    found = on(home, "scan", "--json")
    assert set(found.codes) == {"CD102", "CD103"}
    assert found.codes.count("CD102") == len(REQUIRED)
    assert on(home, "fix", "fluidaudio", "--yes", "--offline").code == 0
    assert on(home, "scan", "--json", "--fail-on", "error").code == 0
    assert on(home, "preflight", "fluidaudio", "--size", "tiny").code == 0


def test_a_whole_old_folder_is_renamed_and_not_fetched(
    home: Path, models: Path, official: Path
) -> None:
    """The old name is CD410, the plan says who would download again, and nothing is fetched."""
    shutil.copytree(official, models / OLD)
    found = on(home, "scan", "--json", "--fail-on", "warning")
    assert (found.code, found.codes) == (1, ["CD410"])
    assert "0.13.3 would download again" in found.data["findings"][0]["message"]
    assert on(home, "preflight", "fluidaudio", "--model", "v3").code == 1
    inode = (models / OLD / "Encoder.mlmodelc").stat().st_ino
    assert on(home, "fix", "--yes", "--offline").code == 0
    assert (models / NEW / "Encoder.mlmodelc").stat().st_ino == inode
    assert on(home, "preflight", "fluidaudio", "--model", "v3").code == 0


def test_an_older_framework_is_right_to_use_the_old_folder(
    home: Path, models: Path, official: Path
) -> None:
    """With `--engine-version fluidaudio=0.8.2` the old folder is healthy and ready."""
    shutil.copytree(official, models / OLD)
    before_0_14_1(models / OLD)
    version = ("--engine-version", "fluidaudio=0.8.2")
    assert on(home, "scan", "--json", "--fail-on", "note", *version).codes == []
    assert on(home, "preflight", "fluidaudio", "--model", "v3", *version).code == 0


def test_the_other_folder_serves_as_a_copy(home: Path, models: Path, official: Path) -> None:
    """With both names there, what the new folder lacks is cloned from the old one."""
    shutil.copytree(official, models / OLD)
    shutil.copytree(official, models / NEW)
    shutil.rmtree(models / NEW / "Preprocessor.mlmodelc")
    assert on(home, "scan", "--json").codes == ["CD101"]
    assert on(home, "fix", "--yes", "--offline").code == 0
    after = on(home, "scan", "--json", "--fail-on", "warning")
    assert (after.code, after.codes) == (0, ["CD410"])
    assert after.data["findings"][0]["severity"] == "note"
    assert on(home, "fix", "--yes", "--waste").code == 0
    assert on(home, "scan", "--json", "--fail-on", "note").codes == []


def test_a_folder_that_lacks_only_the_new_joint_fetches_only_that(
    home: Path, models: Path, official: Path
) -> None:
    """A v3 folder of 0.14.0 is CD106, and one bundle comes from the hub."""
    shutil.copytree(official, models / NEW)
    before_0_14_1(models / NEW)
    found = on(home, "scan", "--json", "--fail-on", "warning")
    assert (found.code, found.codes) == (1, ["CD106"])
    with Hub() as hub:
        hub.add(REPOSITORY, served(official))
        fixed = on(home, "fix", "fluidaudio", "--yes", "--mirror", f"hub={hub.url}")
        assert fixed.code == 0, fixed.output + fixed.errors
        files = {r.path for r in hub.requests if r.method == "GET" and "/resolve/" in r.path}
    assert files
    assert all("/JointDecisionv3.mlmodelc/" in path for path in files)
    assert on(home, "scan", "--json", "--fail-on", "note").codes == []
    bundle = "JointDecisionv3.mlmodelc"
    assert contents(models / NEW / bundle) == contents(official / bundle)


def test_a_bundle_is_judged_through_a_link_out_of_it(
    home: Path, models: Path, official: Path
) -> None:
    """A link out of the root is read as the engine reads it, and what is there is wrong."""
    shutil.copytree(official, models / NEW)
    for name in ("model.mil", "weights/weight.bin"):
        path = models / NEW / "Encoder.mlmodelc" / name
        kept = path.read_bytes()
        path.unlink()
        path.symlink_to("/etc/passwd")
        assert on(home, "scan", "--json").codes in (["CD202", "CD406"], ["CD202"]), name
        assert on(home, "preflight", "fluidaudio", "--model", "v3").code == 1
        path.unlink()
        path.write_bytes(kept)


def test_a_model_is_not_fetched_through_a_link(home: Path, models: Path, tmp_path: Path) -> None:
    """A model folder that leads elsewhere is not written through; exit 4 names it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (models / NEW).symlink_to(elsewhere)
    refused = on(home, "fix", "fluidaudio", "--model", "v3", "--yes")
    assert (refused.code, "is a link" in refused.errors) == (4, True)
    assert list(elsewhere.iterdir()) == []


def test_a_file_in_a_bundles_place_is_replaced(home: Path, models: Path, official: Path) -> None:
    """A file under a bundle's name is a hollow bundle, and gives way to the real one."""
    in_hub(home, official)
    shutil.copytree(official, models / NEW)
    shutil.rmtree(models / NEW / "Encoder.mlmodelc")
    (models / NEW / "Encoder.mlmodelc").write_bytes(b"not a folder")
    assert on(home, "scan", "--json").codes == ["CD102"]
    assert on(home, "fix", "--yes", "--offline").code == 0
    assert contents(models / NEW) == contents(official)


def test_truncated_weights_are_found_from_their_offsets(
    home: Path, models: Path, official: Path
) -> None:
    """Weights cut by one byte are CD201; the bundle is replaced as a whole."""
    in_hub(home, official)
    shutil.copytree(official, models / NEW)
    weights = models / NEW / "Encoder.mlmodelc" / "weights" / "weight.bin"
    worlds.cut(weights, weights.stat().st_size - 1)
    assert on(home, "scan", "--json").codes == ["CD201"]
    assert on(home, "fix", "--yes", "--offline").code == 0
    assert contents(models / NEW) == contents(official)


def test_a_flipped_bit_is_found_by_the_copy_in_the_hub(
    home: Path, models: Path, official: Path
) -> None:
    """A deep scan compares the bundle's files with the digests of its hub repository."""
    in_hub(home, official)
    shutil.copytree(official, models / NEW)
    weights = models / NEW / "Decoder.mlmodelc" / "weights" / "weight.bin"
    worlds.flip(weights, weights.stat().st_size // 2)
    assert on(home, "scan", "--json").codes == []
    assert on(home, "scan", "--json", "--deep").codes == ["CD301"]
    assert on(home, "fix", "--yes", "--offline").code == 0
    assert contents(models / NEW) == contents(official)


def test_an_absent_model_is_fetched_into_a_folder_of_its_own(
    home: Path, models: Path, official: Path
) -> None:
    """Asked for by name, the required bundles come at one commit; undo leaves nothing behind."""
    before = fingerprint(home)
    with Hub() as hub:
        hub.add(REPOSITORY, served(official))
        mirror = f"hub={hub.url}"
        asked = ("fluidaudio", "--model", "v3", "--yes", "--mirror", mirror)
        done = on(home, "fix", *asked)
        assert done.code == 0, done.output + done.errors
    assert on(home, "preflight", "fluidaudio", "--size", "small").code == 0
    assert on(home, "undo").code == 0
    assert fingerprint(home) == before


def test_a_damaged_copy_does_not_stand_in_the_way_of_a_newer_one(
    home: Path, models: Path, official: Path
) -> None:
    """What a local copy is said to be is asked of that copy alone, not of the hub's revision."""
    repository = in_hub(home, official)
    part = "Decoder.mlmodelc/weights/weight.bin"
    copy = worlds.blob_of(repository / "snapshots" / worlds.COMMIT / part)
    worlds.flip(copy, copy.stat().st_size - 1)
    shutil.copytree(official, models / NEW)
    shutil.rmtree(models / NEW / "Decoder.mlmodelc")
    newer = served(official)
    changed = bytearray(newer[part])  # type: ignore[arg-type]
    changed[-1] ^= 3
    with Hub() as hub:
        hub.add(REPOSITORY, {**newer, part: bytes(changed)})
        fixed = on(home, "fix", "fluidaudio", "--yes", "--mirror", f"hub={hub.url}")
    assert fixed.code == 0, fixed.output + fixed.errors
    assert (models / NEW / part).read_bytes() == bytes(changed)
