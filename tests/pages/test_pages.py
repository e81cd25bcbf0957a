"""The real book as its readers meet it: built, opened, looked at, without a network."""

from __future__ import annotations

import html
import re
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pages.looking import Built, problems
from sphinx_external_toc.parsing import parse_toc_yaml

from tlcourse.book import Book

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]
PAGES = [f"{page}.html" for page in parse_toc_yaml(ROOT / "_toc.yml")]
SOLUTIONS = [
    p.replace("/exercises/", "/solutions/") for p in PAGES if "/exercises/" in p
]
LINK = re.compile(r'<(?:a|link|img|script)\b[^>]*?\s(?:href|src)="([^"]*)"')
MB = 1_000_000

pytestmark = pytest.mark.timeout(5400)  # the first that needs the book runs all of it


def test_the_whole_book_builds_without_a_defect(built: Built) -> None:
    assert built.defects == []
    assert built.chapters == sorted(Book(ROOT).notebooks)
    assert all((built.html / page).is_file() for page in [*PAGES, *SOLUTIONS])


@pytest.mark.parametrize("page", [*PAGES, *SOLUTIONS])
def test_a_page_in_a_browser_without_a_network(
    page: str, built: Built, browser: Browser
) -> None:
    assert problems(browser, built.html / page) == []


def test_search_finds_a_chapter_from_disk(built: Built, browser: Browser) -> None:
    tab = browser.new_context(offline=True).new_page()
    tab.goto((built.html / "search.html").as_uri() + "?q=momentum")
    tab.wait_for_selector("#search-results li a", timeout=20_000)
    links = tab.locator("#search-results li a").evaluate_all(
        "(found) => found.map((a) => a.href.split('#')[0].split('?')[0])"
    )
    assert any(link.endswith("foundations/optimizers.html") for link in links)


def test_every_internal_link_and_download_is_alive(built: Built) -> None:
    anchors: dict[Path, set[str]] = {}

    def names(page: Path) -> set[str]:
        if page not in anchors:
            text = page.read_text(encoding="utf-8")
            anchors[page] = set(re.findall(r'\s(?:id|name)="([^"]+)"', text))
        return anchors[page]

    dead, seen = [], 0
    for page in sorted(built.html.rglob("*.html")):
        if "_static" in page.relative_to(built.html).parts:
            continue
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            address = urllib.parse.urlsplit(html.unescape(link))
            if address.scheme or address.netloc:
                continue
            seen += 1
            path = urllib.parse.unquote(address.path)
            target = (page.parent / path).resolve() if path else page
            anchor = urllib.parse.unquote(address.fragment)
            if not target.exists():
                dead.append(f"{page.name}: {link}")
            elif anchor and target.suffix == ".html" and anchor not in names(target):
                dead.append(f"{page.name}: no place {link}")
    assert seen > 1000
    assert dead == []


def test_pages_and_site_are_light(built: Built) -> None:
    files = [f for f in built.html.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 40 * MB
    for page in PAGES:
        path = built.html / page
        text = path.read_text(encoding="utf-8")
        pictures = {
            (path.parent / source).resolve()
            for source in re.findall(r'<img\b[^>]*?\ssrc="(?!data:)([^"]+)"', text)
        }
        size = path.stat().st_size + sum(p.stat().st_size for p in pictures)
        assert size < 1.5 * MB, f"{page}: {size / MB:.1f} MB"


def test_the_whole_book_as_one_pdf(
    built: Built, browser: Browser, tmp_path: Path
) -> None:
    from pypdf import PdfReader

    from tlcourse.printing import print_book

    path = tmp_path / "book.pdf"
    book = Book(built.html.parents[1])
    with ThreadPoolExecutor(1) as apart:  # the open browser holds this thread
        number = apart.submit(print_book, book, path).result()
    texts = [page.extract_text() for page in PdfReader(path).pages]
    assert len(texts) == number > 300
    start = next(k for k, text in enumerate(texts) if text.startswith("Contents"))
    front = re.sub(r"\n(?![0-9])", " ", "\n".join(texts[start : start + 12]))
    listed = re.findall(r"^([0-9]+)\. (.+?) ([0-9]+)$", front, re.M)
    chapters = {k: (title, int(page)) for k, title, page in listed}
    told = [name for name in built.chapters if "/exercises/" not in name]
    assert [*map(int, chapters)] == [*range(1, len(told) + 1)]
    for k, (title, page) in chapters.items():
        text = " ".join(texts[page - 1].split())
        assert text.startswith(f"{k}. {title}")
        assert text.endswith(f" {page}")  # at the foot
    for raw in ("\\(", "\\frac", "Hide code cell", "Show code cell"):
        assert not [text for text in texts if raw in text], raw


PAGE = """<!doctype html><html lang="en"><head><title>A page</title></head>
<body><main><article><h1>One</h1>{}</article></main></body></html>"""
PLANTED = {
    "picture without alt text": '<figure><img src="dot.png"></figure>',
    "picture without caption": '<img src="dot.png" alt="A dot.">',
    "broken picture": '<figure><img src="no.png" alt="A dot."></figure>',
    "not found: ": '<script src="no.js"></script>',
    "asks the network": '<script src="https://example.org/x.js"></script>',
    "formula not rendered": '<span class="math">\\(x\\)</span>',
    "heading skips a level": "<h3>Three</h3>",
    "raw markup": "<p>See {doc}`there`.</p>",
    "wider than a phone": '<p style="width: 500px">Wide.</p>',
    "color-contrast": '<p style="color: #ccc; background: #fff">Pale.</p>',
    "link-name": '<a href="https://example.org"></a>',
    "planted": '<script>console.error("planted")</script>',
    "is not defined": "<script>nothing()</script>",
}


@pytest.mark.parametrize("defect", PLANTED)
def test_a_defect_of_a_page_is_seen(
    defect: str, tmp_path: Path, browser: Browser
) -> None:
    page = tmp_path / "page.html"
    (tmp_path / "dot.png").write_bytes((ROOT / "tests/book/dot.png").read_bytes())
    page.write_text(PAGE.format("<p>Text.</p>"), encoding="utf-8")
    assert problems(browser, page) == []
    page.write_text(PAGE.format(PLANTED[defect]), encoding="utf-8")
    assert any(defect in found for found in problems(browser, page))
