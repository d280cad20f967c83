"""Ask `preflight` and the engine about every state, and compare their answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.truth import engines, states
from tests.truth.places import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_AS = {"transformers": "insanely-fast-whisper"}  # whose preflight answers for it
# The engines with the most work first: two are asked at the same time.
_ORDER = (
    "mlx-whisper",
    "insanely-fast-whisper",
    "faster-whisper",
    "whisper.cpp",
    "transformers",
    "parakeet-mlx",
    "openai-whisper",
    "lightning-whisper-mlx",
    "whisper-mps",
)


_AT_ONCE = 2
_HOME = re.compile(r"/[^\s']*?/home(?=/|\b)")
_NOT_READ = "no byte of the weights is read without being asked: `scan --deep`"
# Where the two are known to differ, and why; `docs/limits.md` says so.
KNOWN = {
    **{
        (engine, f"{name} flipped"): _NOT_READ
        for engine, name in (
            ("faster-whisper", "model.bin"),
            ("whisper.cpp", "ggml-tiny.en.bin"),
            ("mlx-whisper", "weights.safetensors"),
            ("mlx-whisper", "weights.npz"),
            ("insanely-fast-whisper", "model.safetensors"),
            ("openai-whisper", "tiny.en.pt"),
            ("whisper-mps", "tiny.en.pt"),
        )
    },
    ("lightning-whisper-mlx", "flipped"): _NOT_READ,
    (
        "faster-whisper",
        "config.json an empty object",
    ): "it reads what is not there",
    ("faster-whisper", "config.json behind a byte order mark"): "CTranslate2 alone passes over it",
    (
        "insanely-fast-whisper",
        "processor_config.json in place of preprocessor_config.json",
    ): "transformers 5 reads it, and 4 does not",
    (
        "transformers",
        "tokenizer_config.json of an unknown class",
    ): "transformers 4 refuses it, and 5 does not",
    (
        "insanely-fast-whisper",
        "config.json without model_type",
    ): "transformers 5 refuses it, and 4 takes the repository's name for it",
    **dict.fromkeys(
        (
            ("mlx-whisper", "config.json of more layers"),
            ("insanely-fast-whisper", "config.json of more layers"),
        ),
        "layers without weights are filled at random",
    ),
    ("faster-whisper", "a branch that is a link"): "a note of the client's that is a link",
    **dict.fromkeys(
        (
            ("parakeet-mlx", "model.safetensors with a tensor of another name"),
            ("mlx-whisper", "weights.safetensors with a tensor of another name"),
            ("insanely-fast-whisper", "model.safetensors with a tensor of another name"),
            *(
                (engine, f"weights.npz with an array {how}")
                for engine in ("mlx-whisper", "lightning-whisper-mlx")
                for how in ("less", "more")
            ),
            ("openai-whisper", "of a file with fewer layers said"),
        ),
        "the names of tensors are not compared one by one",
    ),
    **dict.fromkeys(
        (
            ("insanely-fast-whisper", "model.safetensors without metadata"),
            ("insanely-fast-whisper", "model.safetensors of an unknown format"),
        ),
        "transformers 4 refuses what the metadata does not call its own",
    ),
    ("whisper.cpp", "ggml-tiny.en.bin cut by a byte"): "the last number of the last tensor is cut",
    ("lightning-whisper-mlx", "asked for 4 bits, the plain one there"): (
        "the folder is shared; the plain model is loaded for the other"
    ),
}


class Cell(NamedTuple):
    """One state with the prediction and the outcome."""

    state: states.State
    ready: bool
    by: str
    code: str
    why: str
    loads: bool  # the way that `by` says; by name if nothing is ready
    by_name: bool
    said: str
    asked_path: bool

    @property
    def kind(self) -> str:
        """Return which of the four cells of the matrix it falls into."""
        return f"{'ready' if self.ready else 'not'} & {'loads' if self.loads else 'fails'}"

    @property
    def is_wrong(self) -> bool:
        """Return whether the prediction is wrong without a known excuse."""
        return not self.agrees and (self.state.engine, self.state.name) not in KNOWN

    @property
    def agrees(self) -> bool:
        """Return whether the prediction was right, also for a caller by name."""
        named = self.ready and (self.by == "name" or self.asked_path)
        return self.ready == self.loads and named == self.by_name


def run(
    chosen: Sequence[states.State], folder: Path, tell: Callable[[Cell], None] = lambda _: None
) -> list[Cell]:
    """Build every state in turn and ask; two engines work at the same time."""

    def one(name: str) -> list[Cell]:
        mine = [state for state in chosen if state.engine == name]
        if not mine:
            return []
        cells = []
        place = Place(folder / name / "home")
        place.home.parent.mkdir(parents=True, exist_ok=True)
        engine = engines.Engine(name, place.home)
        try:
            for state in mine:
                cells.append(_cell(state, place, engine))
                tell(cells[-1])
        finally:
            engine.close()
            place.begin()
        return cells

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [cell for cells in pool.map(one, _ORDER) for cell in cells]


def _cell(state: states.State, place: Place, engine: engines.Engine) -> Cell:
    place.begin()
    built = state.build(place)
    asked = built if isinstance(built, states.Asked) else states.USUAL[state.engine]
    cwd = place.home / asked.cwd if asked.cwd else place.cwd
    heard = states.HEARD if asked.heard is None else asked.heard
    verdict = _foretold(state, place, asked, cwd)

    def load(model: str, options: dict[str, object]) -> engines.Came:
        return engine.load(model, cwd=cwd, env=asked.env, options=options, heard=heard)

    named = load(asked.model, dict(asked.options))
    by = str(verdict.get("by") or "name")
    came = named
    if verdict["ready"] and by == "path":
        came = load(*_at_path(state.engine, str(verdict["path"])))
    return Cell(
        state,
        bool(verdict["ready"]),
        by,
        str(verdict.get("code") or ""),
        str(verdict.get("why") or ""),
        came.loads,
        named.loads,
        came.said if came.loads or not named.loads else named.said,
        (cwd / asked.model).exists(),
    )


def _at_path(engine: str, path: str) -> tuple[str, dict[str, object]]:
    """Return how to give an engine a path."""
    if engine == "whisper-mps":  # it takes only names, and a folder
        return Path(path).stem, {"download_root": str(Path(path).parent)}
    return path, {}


def _foretold(
    state: states.State, place: Place, asked: states.Asked, cwd: Path
) -> dict[str, object]:
    engine = _AS.get(state.engine, state.engine)
    done = subprocess.run(
        [sys.executable, "-m", "cachedoctor", "preflight", engine, *asked.question, "--json"],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=engines.variables(place.home, asked.env),
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    body = json.loads(done.stdout)
    if "verdict" not in body:  # a usage error: the message says that it would not load either
        return {"ready": False, "code": "usage", "why": body["error"]["message"]}
    verdict: dict[str, object] = body["verdict"]
    assert bool(verdict["ready"]) == (done.returncode == 0)
    return verdict


def table(cells: Sequence[Cell]) -> list[str]:
    """Return the matrix by engine and by cause, as Markdown."""
    kinds = ("ready & loads", "not & fails", "ready & fails", "not & loads")
    lines = []
    for title, key in (("engine", "engine"), ("cause", "cause")):
        count = Counter((getattr(cell.state, key), cell.kind) for cell in cells)
        lines += [f"| {title} | {' | '.join(kinds)} |", "|---|---|---|---|---|"]
        for name in dict.fromkeys(getattr(cell.state, key) for cell in cells):
            row = " | ".join(str(count[name, kind]) for kind in kinds)
            lines.append(f"| {name} | {row} |")
        total = Counter(cell.kind for cell in cells)
        lines += [f"| all {len(cells)} | {' | '.join(str(total[k]) for k in kinds)} |", ""]
    return lines


def told(cell: Cell) -> str:
    """Return one line about a cell."""
    state = cell.state
    by = f" by {cell.by}" if cell.ready else f" ({cell.code} {cell.why[:90]})"
    named = (
        "" if cell.by_name == cell.loads else f", by name {'loads' if cell.by_name else 'fails'}"
    )
    said = f"{cell.kind}{named}: {state.engine}: {state.name}:{by}; it {cell.said[:150]}"
    return _HOME.sub("~", " ".join(said.split()))
