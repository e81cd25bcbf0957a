"""What may be wrong with a page: looked at in a browser without a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import axe_playwright_python

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
_LOOK = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const end = (address) => address.split("/").pop();
  const found = [];
  for (const i of all("main img")) {
    if (!i.alt.trim()) found.push("picture without alt text: " + end(i.src));
    if (!i.closest("figure")?.querySelector("figcaption")?.innerText.trim())
      found.push("picture without caption: " + end(i.src));
    if (!i.naturalWidth) found.push("broken picture: " + end(i.src));
  }
  for (const m of all("main .math"))
    if (!m.querySelector("mjx-container") || m.querySelector("mjx-merror"))
      found.push("formula not rendered: " + m.innerText.slice(0, 60));
  let level = 0;
  for (const h of all("article :is(h1, h2, h3, h4, h5, h6)")) {
    const own = +h.tagName[1];
    if (own > level + 1) found.push("heading skips a level: " + h.innerText);
    level = own;
  }
  for (const e of all("article :is(p, li, td, th, dd, dt, figcaption)")) {
    const copy = e.cloneNode(true);
    for (const c of copy.querySelectorAll("code, pre, .math")) c.remove();
    const raw = copy.textContent.match(/\\{[a-z:]+\\}|:::|\\$\\$|```|\\]\\(/);
    if (raw) found.push("raw markup: " + copy.textContent.slice(0, 80));
  }
  return found;
}"""
_WIDE = """() => {
  if (document.documentElement.scrollWidth <= innerWidth) return [];
  const wide = [...document.querySelectorAll("article *")]
    .filter((e) => e.getBoundingClientRect().right > innerWidth + 1);
  return ["wider than a phone: " + wide.slice(-1).map((e) => e.outerHTML.slice(0, 80))];
}"""


@dataclass(frozen=True)
class Built:
    """What a build found, and the folder of the pages that it made."""

    defects: list[str]
    chapters: list[str]
    html: Path


def problems(browser: Browser, page: Path) -> list[str]:
    """Return what is wrong with a page of a site on disk."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    tab, found = context.new_page(), list[str]()
    tab.on("console", lambda m: found.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda error: found.append(str(error)))
    tab.on("request", lambda r: found.extend(_foreign(r.url)))
    tab.on("requestfailed", lambda r: found.append(f"not found: {r.url[-60:]}"))
    try:
        tab.goto(page.as_uri())
        tab.wait_for_function(
            "() => !window.MathJax?.startup || MathJax.startup.promise.then(() => true)"
        )
        found += tab.evaluate(_LOOK)
        tab.evaluate(_AXE.read_text(encoding="utf-8"))
        found += _violations(tab, "light", {})
        contrast = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
        found += _violations(tab, "dark", contrast)
        tab.set_viewport_size({"width": 390, "height": 844})
        found += tab.evaluate(_WIDE)
    finally:
        context.close()
    return found


def _foreign(address: str) -> Iterator[str]:
    if not address.startswith(("file:", "data:", "blob:")):
        yield f"asks the network: {address}"


def _violations(tab: Page, mode: str, options: dict[str, Any]) -> Iterator[str]:
    tab.evaluate("(mode) => { document.documentElement.dataset.theme = mode }", mode)
    tab.wait_for_timeout(300)  # colours change slowly
    # Its own requests for style sheets are refused where pages lie on disk.
    options = {"preload": False, "resultTypes": ["violations"], **options}
    result = tab.evaluate("(options) => axe.run(document, options)", options)
    for rule in result["violations"]:
        places = [node["html"][:80] for node in rule["nodes"]]
        yield f"{mode}: {rule['id']}, {len(places)} times, such as {places[0]}"
