"""Print the book: one PDF of all pages, with a table of contents and page numbers.

The pages are those of the site that a build has left, checked as they are. They are
joined into one document, each name in it made unique by that of its page, so that
links between pages lead from place to place in the PDF. Chromium sets it twice: only
the first result tells on which page a heading has come to stand.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from datetime import date
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Error, Page, Playwright, sync_playwright
from pypdf import PdfReader
from sphinx_external_toc.parsing import parse_toc_yaml

from tlcourse.book import Book

__all__ = ["launch_browser", "print_book"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_CHANNELS = ("chrome", "msedge")  # where their installers put them
# What a reader of paper cannot use; code that only draws is folded on the page, too.
_USELESS = "a.headerlink, script, style, button, details.above-input"
_STYLE = """
@page { size: A4; margin: 18mm 16mm 20mm; }
html { font-size: 11.5px; }
body { background: white; }
h1 { break-before: page; }
h1, h2, h3, h4 { break-after: avoid; }
figure, tr, .admonition-title { break-inside: avoid; }
pre, code { white-space: pre-wrap !important; overflow-wrap: anywhere; }
pre { font-size: 0.78rem; }
table { font-size: 0.85rem; }
.pst-scrollable-table-container { overflow: visible; }
img { max-height: 200mm; }
#title { text-align: center; padding-top: 60mm; }
#title img { width: 45mm; }
.title { font-size: 2.5rem; font-weight: bold; }
#contents p { display: flex; gap: 1em; margin: 0.15em 0; }
#contents a { flex: 1; color: inherit; text-decoration: none; }
#contents .chapter { margin-top: 0.7em; font-weight: bold; }
#contents .section { padding-left: 2em; }
"""
_START = (
    "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{0}</title>"
    "</head><body>"
    "<div id='title'><img src='{1}' alt=''><p class='title'>{0}</p><p>{2}</p></div>"
    "</body></html>"
)
_FOOT = (
    '<div style="width: 100%; text-align: center; font: 8px sans-serif">'
    '<span class="pageNumber"></span></div>'
)
_FORMULAS_ARE_SET = (
    "() => !window.MathJax?.startup || MathJax.startup.promise.then(() => true)"
)
_SET_NUMBERS = """(numbers) => {
  for (const place of document.querySelectorAll("#contents [data-target]"))
    place.textContent = numbers[place.dataset.target];
}"""


def launch_browser(driver: Playwright) -> Browser:
    """Start an installed Chromium, Chrome or Edge without a window.

    Parameters
    ----------
    driver : Playwright
        What `sync_playwright` gives.

    Returns
    -------
    Browser
        To be closed by the caller.

    Raises
    ------
    ValueError
        If none is installed.
    """
    if found := next(filter(None, map(shutil.which, _NAMES)), None):
        return driver.chromium.launch(executable_path=found)
    for channel in _CHANNELS:
        try:
            return driver.chromium.launch(channel=channel)
        except Error:
            continue
    raise ValueError(
        "printing.launch_browser: Chromium, Chrome or Edge must be installed, got "
        "none; on Debian and Ubuntu: apt install chromium"
    )


def print_book(book: Book, path: Path) -> int:
    """Write the built site as one PDF.

    Parameters
    ----------
    book : Book
        The book; its site must have been built.
    path : Path
        Where to write; replaced when the PDF is whole.

    Returns
    -------
    int
        Number of pages.

    Raises
    ------
    ValueError
        If there is no site, or no browser.
    """
    if not book.site.is_file():
        raise ValueError(
            f"printing.print_book: a site must lie at {book.site}, got none; run "
            "`tlcourse build` first"
        )
    book.work.mkdir(parents=True, exist_ok=True)
    whole, unfinished = book.work / "whole.html", book.work / "unfinished.pdf"
    whole.write_text(str(_joined(book)), encoding="utf-8")
    with sync_playwright() as driver:
        browser = launch_browser(driver)
        tab = browser.new_context(offline=True).new_page()
        tab.set_default_timeout(600_000)  # hundreds of pages
        tab.goto(whole.as_uri())
        tab.wait_for_function(_FORMULAS_ARE_SET)
        numbers: dict[str, int] = {}
        while numbers != (numbers := _print(tab, unfinished)):
            tab.evaluate(_SET_NUMBERS, numbers)
        browser.close()
    unfinished.replace(path)
    return len(PdfReader(path).pages)


def _print(tab: Page, path: Path) -> dict[str, int]:
    """Print, and return on which page each target of a link stands."""
    tab.pdf(
        path=path,
        prefer_css_page_size=True,
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=_FOOT,
        outline=True,
        tagged=True,
    )
    reader = PdfReader(path)
    return {
        name.removeprefix("/"): 1 + (reader.get_destination_page_number(place) or 0)
        for name, place in reader.named_destinations.items()
    }


def _joined(book: Book) -> Any:
    """Return all pages as one document that begins with title and contents."""
    html = book.site.parent
    pages = {}
    for page in parse_toc_yaml(book.root / "_toc.yml"):
        path = html / f"{page}.html"
        pages[path] = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    first: Any = next(iter(pages.values()))
    title = first.find("article").h1.contents[0]
    logo = (html / "_static" / "logo.svg").as_uri()
    start = _START.format(escape(title), logo, date.today())
    document: Any = BeautifulSoup(start, "html.parser")
    style = document.new_tag("style")
    style.string = _STYLE
    document.head.extend([*_shared(pages), style])
    articles = [_article(html, path, soup) for path, soup in pages.items()]
    contents = BeautifulSoup("".join(_contents(articles)), "html.parser")
    document.body.extend([contents, *articles])
    return document


def _shared(pages: Mapping[Path, Any]) -> list[Any]:
    """Return each style sheet of the pages once, and what sets their formulas."""
    found: dict[str, Any] = {}
    for path, soup in pages.items():
        for part in soup.head.select("link[rel=stylesheet], script"):
            for name in {"src", "href"} & part.attrs.keys():
                part[name] = urljoin(path.as_uri(), part[name])
            if part.name == "link" or "mathjax" in str(part).lower():
                found.setdefault(str(part), part)
    return list(found.values())


def _article(html: Path, path: Path, soup: Any) -> Any:
    """Return the text of a page, its names and addresses made those of the whole."""
    article = soup.find("article")
    for useless in article.select(_USELESS):
        useless.decompose()
    for folded in article.select("details"):
        folded["open"] = ""
    for node in article.find_all(id=True):
        node["id"] = _name(html, path.as_uri(), node["id"])
    for node in article.find_all(src=True):
        node["src"] = urljoin(path.as_uri(), node["src"])
    for link in article.find_all("a", href=True):
        target, place = urldefrag(urljoin(path.as_uri(), link["href"]))
        if target.startswith(html.as_uri()) and target.endswith(".html"):
            link["href"] = "#" + _name(html, target, place)
    article["id"] = _name(html, path.as_uri(), "")
    return article


def _name(html: Path, page: str, place: str) -> str:
    """Return the name that a place of a page has in the whole."""
    inside = page.removeprefix(html.as_uri() + "/").removesuffix(".html")
    return f"{unquote(inside).replace('/', '-')}--{unquote(place)}"


def _contents(articles: list[Any]) -> Iterator[str]:
    """Yield the table of contents, its page numbers not yet known."""
    yield "<div id='contents'><h1>Contents</h1>"
    for article in articles:
        for heading in article.select("h1, h2"):
            target = heading.find_parent(id=True)["id"]
            kind = "chapter" if heading.name == "h1" else "section"
            yield (
                f"<p class='{kind}'><a href='#{target}'>{escape(heading.get_text())}"
                f"</a><span data-target='{target}'>000</span></p>"
            )
    yield "</div>"
