"""The page in a real browser: nothing is loaded, everything works, also without a script."""

from __future__ import annotations

import io
import os
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cachedoctor.text import printable
from tests.support import answers, browser
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "-"),
]

KINDS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}
GRAVE = ("serious", "critical")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start one browser for all tests here."""
    with browser.browser() as started:
        yield started


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what writes the page of a world, each once."""
    folder = tmp_path_factory.mktemp("pages")
    bench = [("whisper.cpp", "small", [0.48, 0.47, 0.5]), ("mlx-whisper", "small", [0.61, 0.7])]
    lab: dict[str, tuple[str, str | None, answers.Body | None]] = {
        f"mac-{number:02}": ("healthy", None, answers.mac(broken=False)) for number in range(6)
    }
    lab["mac-02"] = ("findings", None, answers.mac())
    lab["mac-07"] = ("unreachable", "no route after 5 s", None)
    worlds: dict[str, list[answers.Body]] = {
        "mac": [answers.mac(), answers.bench(bench)],
        "lab": [answers.fleet(lab)],
        "hostile": [answers.hostile()],
        "500": [answers.many(500)],
        "5000": [answers.many(5000)],
    }

    def write(name: str) -> Path:
        page = folder / f"{name}.html"
        if not page.exists():
            files = []
            for number, body in enumerate(worlds[name]):
                files.append(f"mac={answers.save(body, folder / f'{name}-{number}.json')}")
            ended = cachedoctor("report", "-o", str(page), *files, "--home", str(folder))
            assert ended.code == 0, ended.errors
        return page

    return write


class Opened:
    """A page in a browser, and what it did that nobody asked for."""

    def __init__(self, page: Page, path: Path) -> None:
        """Open it."""
        self.page = page
        self.asked: list[str] = []
        self.said: list[str] = []
        page.set_default_timeout(20_000)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))
        page.goto(path.as_uri())

    def require_quiet(self) -> None:
        """Nothing was asked for but the file, nothing was logged, nothing was taken over."""
        assert [url.partition("#")[0] for url in self.asked] == [self.page.url.partition("#")[0]]
        assert self.said == []
        assert self.page.title().startswith("Speech models: ")


@pytest.fixture
def opened(chromium: Browser, written: Callable[[str], Path]) -> Iterator[Callable[..., Opened]]:
    """Return what opens the page of a world in a window of its own."""
    contexts = []

    def open_(world: str, **how: Any) -> Opened:
        context = chromium.new_context(**{**KINDS["desktop"], **how})
        contexts.append(context)
        return Opened(context.new_page(), written(world))

    yield open_
    for context in contexts:
        context.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("world", ["mac", "lab", "hostile"])
def test_it_loads_by_itself(
    world: str, kind: str, opened: Callable[..., Opened], tmp_path: Path
) -> None:
    """One request, for the file; no error, nothing beyond the edge; pictures are kept."""
    shown = opened(world, **KINDS[kind])
    assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture = tmp_path / f"{world}-{kind}.png"
    shown.page.screenshot(path=picture, full_page=True)
    if folder := os.environ.get("CACHEDOCTOR_PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, folder)
    shown.require_quiet()


def cells(page: Page, column: int) -> list[str]:
    """Return the texts of a column of the table of models, of rows that are shown."""
    found = page.locator(f"#models tbody tr:not([hidden]) > :nth-child({column})")
    return [text.split("\n")[0].strip() for text in found.all_inner_texts()]


def test_it_sorts(opened: Callable[..., Opened]) -> None:
    """By words and by numbers, both ways; a screen reader is told."""
    shown = opened("mac")
    page = shown.page
    assert cells(page, 2)[0] == "15.0 GiB"
    page.get_by_role("button", name="Size").click()
    assert cells(page, 2)[0] == "142.0 MiB"
    assert page.locator("th.c-size").get_attribute("aria-sort") == "ascending"
    assert page.locator("th.c-model").get_attribute("aria-sort") is None
    page.get_by_role("button", name="Model", exact=True).focus()
    page.keyboard.press("Enter")
    names = cells(page, 1)
    assert names == sorted(names, key=str.lower)
    page.locator("#says", has_text="sorted by Model, ascending").wait_for(state="attached")
    page.keyboard.press("Enter")
    assert cells(page, 1) == names[::-1]
    page.get_by_role("button", name="Last used").click()
    assert cells(page, 4)[-1] == "–"  # unknown is never long ago
    shown.require_quiet()


def test_it_filters(opened: Callable[..., Opened]) -> None:
    """By words in any order and by what can be chosen; what is left is counted."""
    shown = opened("mac")
    page = shown.page
    page.get_by_label("Filter").fill("TURBO mlx")
    page.locator("#shown", has_text="1 of 9 shown, 1.6 GiB").wait_for()
    assert len(cells(page, 1)) == 1
    page.get_by_role("button", name="Show all").click()
    assert len(cells(page, 1)) == 9
    page.locator("select[data-key=status]").select_option("incomplete")
    assert sorted(cells(page, 1))[1].startswith("parakeet")
    page.locator("select[data-key=engines]").select_option("whisperkit")
    assert len(cells(page, 1)) == 1
    page.locator("select[data-key=where]").select_option("hub cache")
    assert cells(page, 1) == []
    shown.require_quiet()


def test_it_folds(opened: Callable[..., Opened]) -> None:
    """One by its summary, by keyboard too; all by one button, and back."""
    shown = opened("mac")
    page = shown.page
    first = page.locator("#w1 summary").first
    first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#w1 details[open]").count() == 1
    everything = page.get_by_role("button", name="Expand everything")
    everything.click()
    assert page.locator("details:not([open])").count() == 0
    everything.click()
    assert page.locator("details[open]").count() == 0
    shown.require_quiet()


def test_it_copies(opened: Callable[..., Opened]) -> None:
    """The command as it is, without the prompt; said in words."""
    shown = opened("mac", permissions=["clipboard-read"])
    page = shown.page
    group = page.locator("#w1")
    group.get_by_role("button", name="copy").click()
    group.get_by_text("copied", exact=True).wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "cachedoctor fix whisperkit"
    page.locator("#says", has_text="copied: cachedoctor fix whisperkit").wait_for(state="attached")
    shown.require_quiet()


def test_areas_lead_to_their_lines(opened: Callable[..., Opened]) -> None:
    """By mouse and by keyboard, under each way to divide the room; also to a hidden line."""
    shown = opened("mac")
    page = shown.page
    page.get_by_label("Filter").fill("parakeet")
    page.locator("#shown:not(:empty)").wait_for()
    page.get_by_label("engine", exact=True).check(force=True)
    assert page.locator(".chart:visible").count() == 1
    page.locator(".chart:visible a", has_text="Llama").click()
    row = page.locator("tr:target")
    assert "Llama" in row.inner_text()
    assert row.is_visible()
    page.get_by_label("place", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".chart:visible svg.areas").get_attribute("aria-label") == (
        "Disk space by engine"
    )
    area = page.locator(".chart:visible a").nth(1)
    area.focus()
    page.keyboard.press("Enter")
    assert page.url.endswith(area.get_attribute("href") or "-")
    shown.require_quiet()


def test_it_works_without_a_script(opened: Callable[..., Opened]) -> None:
    """Tables and charts are there, summaries fold, ways to divide change; no dead buttons."""
    shown = opened("mac", java_script_enabled=False)
    page = shown.page
    assert page.locator("#models tbody tr").count() == 9
    assert page.locator("button:visible, #search:visible").count() == 0
    page.locator("#w1 summary").first.click()
    assert page.locator("#w1 dl").first.is_visible()
    page.get_by_text("repository", exact=True).click()
    assert page.locator(".chart:visible svg.areas").get_attribute("aria-label") == (
        "Disk space by repository"
    )


def test_hostile_names_do_nothing(opened: Callable[..., Opened]) -> None:
    """They are words on the page, however they are sorted, filtered, copied and unfolded."""
    shown = opened("hostile", permissions=["clipboard-read"])
    page = shown.page
    page.get_by_role("button", name="Expand everything").click()
    for head in page.locator("#models thead button").all():
        head.click()
    for text in ("<script>", "onerror", "{{"):
        page.get_by_label("Filter").fill(text)
        page.locator("#shown", has_text=re.compile("^[1-9]")).wait_for()
    for one in page.locator("select[data-key=engines]").locator("option").all()[1:]:
        page.locator("select[data-key=engines]").select_option(
            one.get_attribute("value") or one.inner_text()
        )
    seen = page.locator("body").inner_text()
    for name in answers.NASTY:
        if len(name) < 100:
            assert " ".join(printable(name).split()) in " ".join(seen.split())
    assert page.locator("script").count() == 1
    assert page.locator("img, iframe, h2 >> text=taken").count() == 0
    shown.require_quiet()


def test_what_is_put_in_later_does_not_run(opened: Callable[..., Opened]) -> None:
    """The policy stops scripts, handlers, pictures, requests and styles that are not the page's."""
    page = opened("mac").page
    page.evaluate(
        """() => {
        const made = document.createElement("div");
        made.innerHTML = '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" ' +
          'onerror="document.title=1"><p id="put" style="position:fixed">x</p>';
        document.body.append(made);
        const script = document.createElement("script");
        script.textContent = "document.title = 'taken'";
        document.body.append(script);
        }"""
    )
    assert page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'stopped')") == (
        "stopped"
    )
    assert page.title().startswith("Speech models: ")
    assert page.locator("#put").evaluate("each => getComputedStyle(each).position") == "static"


@pytest.mark.parametrize(
    ("world", "kind"),
    [("mac", "desktop"), ("mac", "phone"), ("mac", "dark"), ("lab", "dark"), ("500", "desktop")],
)
def test_nobody_is_left_out(world: str, kind: str, opened: Callable[..., Opened]) -> None:
    """Nothing that axe calls serious, folded and unfolded."""
    from axe_playwright_python.sync_playwright import Axe

    page = opened(world, **KINDS[kind]).page
    for _ in range(2 if world != "500" else 1):
        found = Axe().run(page).response["violations"]
        grave = [(each["id"], each["nodes"][0]["html"][:200]) for each in found
                 if each["impact"] in GRAVE]  # fmt: skip
        assert grave == []
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")


def test_it_is_printed_whole(opened: Callable[..., Opened], written: Callable[[str], Path]) -> None:
    """What is folded is on paper, with a script and without; a large one in time."""
    import pypdf

    for script in (True, False):
        page = opened("mac", java_script_enabled=script).page
        data = page.pdf()
        text = " ".join(
            " ".join(
                each.extract_text() for each in pypdf.PdfReader(io.BytesIO(data)).pages
            ).split()
        )
        for words in (
            "5f5f.incomplete",
            "weights are missing",
            "~/Documents/models",
            "copy model.bin from the hub cache",
        ):
            assert words in text
        assert "copy" not in re.findall(r"cachedoctor fix \w+ (\w+)", text)


def test_a_large_page_is_printed_in_time(opened: Callable[..., Opened]) -> None:
    """Ten seconds for thousands, or what ten times a tenth of them take where others work, too."""

    def took(world: str) -> float:
        page = opened(world).page
        began = time.monotonic()
        page.pdf()
        return time.monotonic() - began

    small = took("500")
    large = took("5000")
    assert large < max(10.0, 20 * small), (small, large)


def test_thousands_of_models(opened: Callable[..., Opened]) -> None:
    """Shown in two seconds, or ten times what a tenth of them takes where others work, too."""

    def took(world: str) -> float:
        began = time.monotonic()
        browser.painted(opened(world).page)
        return time.monotonic() - began

    small = min(took("500") for _ in range(3))
    large = min(took("5000") for _ in range(3))
    assert large < max(2.0, 10 * small), (small, large)
    page = opened("5000").page
    page.get_by_label("Filter").fill("04200")
    page.locator("#shown", has_text="1 of 5000 shown").wait_for()
    page.get_by_role("button", name="Model", exact=True).click()
    assert cells(page, 1)[0].startswith("faster-whisper-04200")


def test_the_picture_in_the_documentation_is_of_this_page(
    chromium: Browser, tmp_path: Path
) -> None:
    """`python -m tests.support.browser docs/figures/report.png` takes it anew."""
    (tmp_path / "page.html").write_text(browser.demo_page(), encoding="utf-8")
    page = chromium.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    browser.painted(page)
    assert browser.taken_of(browser.PICTURE) == browser.words(page)
    page.close()
