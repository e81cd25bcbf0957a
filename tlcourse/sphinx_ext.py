"""Sphinx extension of the book: the alt-text gate, generated tables, glossary links.

They act at ``doctree-resolved``, when every notebook has been read and the images of
the output format are known. So they work in `tlcourse build`, which renders executed
notebooks, and under plain ``jupyter-book build .``, which executes them itself.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from tlcourse import claims as _claims
from tlcourse.book import Book

__all__ = ["setup"]

_LOG = logging.getLogger(__name__)
# What stands behind a term where a chapter introduces it: its Chinese, in brackets.
_CHINESE = re.compile(r" [(（]([\u4e00-\u9fff]+)")
_BARE_IMAGE = re.compile(r"<img\b(?![^>]*\balt\s*=\s*[\"'][^\"'])[^>]*>", re.I)


class _Table(nodes.General, nodes.Element):  # type: ignore[misc]
    """Stands for a generated table until all documents are read."""


class _TableDirective(SphinxDirective):
    """Leave a placeholder; the document is read again in every later build."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        return [_Table(kind=self.name, part="".join(self.arguments))]


class _BorrowedFigure(SphinxDirective):
    """Show a figure that a chapter glued on another page, with a caption of its own."""

    required_arguments, has_content = 1, True
    option_spec = {"doc": directives.unchanged_required, "alt": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        from myst_nb.ext.glue.utils import create_pending_glue_ref  # takes seconds

        picture = create_pending_glue_ref(
            self.state.document,
            *self.get_source_info(),
            self.options["doc"],
            self.arguments[0],
        )
        words, _ = self.state.inline_text(" ".join(self.content), self.lineno)
        caption = nodes.caption("", "", *words)
        return [nodes.figure("", picture, caption, alt=self.options.get("alt", ""))]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the gate and the directives of the generated tables."""
    app.add_node(_Table)
    for name in _TABLES:
        app.add_directive(name, _TableDirective)
    app.connect("doctree-resolved", _fill_tables, priority=400)
    app.add_directive("borrowed-figure", _BorrowedFigure)
    app.connect("doctree-resolved", _link_terms, priority=500)
    app.connect("doctree-resolved", _require_alt_text, priority=600)
    app.connect("html-page-context", _name_roles)
    app.connect("html-page-context", _show_preview)
    app.connect("html-page-context", _open_the_published, priority=900)
    app.connect("html-page-context", _name_toggles, priority=900)
    app.connect("build-finished", _leave_out)
    return {"parallel_read_safe": True, "parallel_write_safe": False}


def _require_alt_text(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Warn of every picture that says nothing to a reader who cannot see it."""
    for figure in doctree.findall(nodes.figure):
        for image in figure.findall(nodes.image):
            image["alt"] = image.get("alt") or figure.get("alt", "")
    for image in doctree.findall(nodes.image):
        if not image.get("alt", "").strip():
            name = Path(image.get("uri", "")).name
            _warn(f"figure without alt text ({name}): add :alt:", image)
    for raw in doctree.findall(nodes.raw):
        found = _BARE_IMAGE.search(raw.astext())
        if found and "html" in raw.get("format", ""):
            _warn(f"image without alt text: {found.group()[:80]}", raw)


def _name_roles(app: Sphinx, page: str, template: str, context: Any, _: Any) -> None:
    """Call each source an item of its list: docutils' own role is no longer allowed."""
    found = context.get("body", "")
    context["body"] = found.replace('role="doc-biblioentry"', 'role="listitem"')


def _show_preview(app: Sphinx, page: str, template: str, context: Any, _: Any) -> None:
    """Name the picture that a link to a published page shows elsewhere."""
    base, title = app.config.html_baseurl, app.env.titles.get(page)
    if base and title:
        shown = {"title": title.astext(), "type": "article"}
        shown |= {"url": f"{base}{page}.html", "image": f"{base}_static/preview.png"}
        for name, content in shown.items():
            tag = f'<meta property="og:{name}" content="{escape(content)}">\n'
            context["metatags"] = context.get("metatags", "") + tag


def _open_the_published(
    app: Sphinx, page: str, template: str, context: Any, _: Any
) -> None:
    """Lead to Colab's view of the published notebook: it installs the course there."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if "//colab." in button.get("url", ""):
                published = "/blob/gh-pages/_sources/"
                button["url"] = button["url"].replace("/blob/main/", published)


def _name_toggles(app: Sphinx, page: str, template: str, context: Any, _: Any) -> None:
    """Say what the arrows of the side bar unfold: the theme leaves them nameless."""
    if made := context.get("generate_toctree_html"):
        name = '<summary aria-label="Exercises of this chapter">'
        context["generate_toctree_html"] = lambda **options: str(
            made(**options)
        ).replace("<summary>", name)


def _leave_out(app: Sphinx, error: Exception | None) -> None:
    """Leave out what no page asks for: half of MathJax, 23 of 51 MB.

    Its other combinations of parts, and the other languages in which it reads aloud.
    """
    static = Path(app.outdir) / "_static"
    combined = {*static.glob("mathjax/*-chtml*.js"), *static.glob("mathjax/*-svg*.js")}
    spoken = {*static.glob("mathjax/sre/mathmaps/*.json")}
    spoken -= {f for f in spoken if f.stem in ("base", "en", "nemeth")}
    used = Path(str(getattr(app.config, "mathjax_path", ""))).name
    for file in [*static.rglob("*.map"), *combined, *spoken]:
        if file.name != used:
            file.unlink()


def _link_terms(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Lead from where a chapter introduces a term, marked, to the glossary."""
    if docname.removeprefix("book/") not in _chapters(app):
        return
    objects = app.env.get_domain("std").get_objects()
    terms = {o[0].lower(): (o[3], o[4]) for o in objects if o[2] == "term"}
    seen: set[str] = set()
    for node in list(doctree.findall(nodes.Inline)):
        behind = node.next_node(descend=False, siblings=True)
        chinese = _CHINESE.match(behind.astext()) if behind is not None else None
        if isinstance(node, nodes.strong | nodes.emphasis) and chinese:
            names = [node.astext().lower(), chinese[1]]
            places = [terms[name] for name in names if name in terms]
            if places and seen.isdisjoint(names):
                uri = app.builder.get_relative_uri(docname, places[0][0])
                link = {"refuri": f"{uri}#{places[0][1]}", "internal": True}
                node[:] = [nodes.reference("", "", *node.children, **link)]
                seen.update(names)


def _warn(message: str, location: Any) -> None:
    _LOG.warning(message, location=location, type="tlcourse", subtype="book")


def _fill_tables(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for table in list(doctree.findall(_Table)):
        text = "".join(_TABLES[table["kind"]](app, docname, table["part"]))
        table.replace_self(nodes.raw("", text, format="html"))


def _claims_table(app: Sphinx, docname: str, _: str) -> Iterator[str]:
    """Yield a heading and a table of three columns for each chapter with claims."""
    claims, defects = _claims.read(Path(app.srcdir) / _claims.FILE)
    records = {chapter: _run_record(app, chapter) for chapter in _chapters(app)}
    if all("profile" in record for record in records.values()):
        defects = []  # our runner checked the claims and told what is wrong
    else:
        for chapter in records:
            defects += _claims.check(claims, chapter, _glued_numbers(app, chapter))
    for defect in defects:
        _warn(str(defect), docname)
    for chapter in records:
        values, rows = _glued_numbers(app, chapter), []
        for claim in (c for c in claims.values() if c.chapter == chapter):
            sentence = escape(claim.sentence)
            if claim.basis:
                known = "{mean:.5g} ± {sd:.2g} over {seeds} seeds, {date}"
                basis = known.format(**claim.basis.model_dump())
                sentence = f"{sentence}<br><em>{basis}</em>"
            span = f"{claim.min:.6g} to {claim.max:.6g}<br>{escape(claim.metric)}"
            value = f"{values[claim.key]:.5g}" if claim.key in values else "missing"
            rows.append([sentence, span, f"<strong>{value}</strong>"])
        if rows:
            yield f"<p class='rubric'>{_link(app, docname, chapter)}</p>"
            yield _table(["Claim", "Range", "This build"], rows)


def _run_times(app: Sphinx, docname: str, _: str) -> Iterator[str]:
    """Yield the table of run times, and of memory where our runner measured it."""
    rows, total = [], 0.0
    for chapter in _chapters(app):
        record = _run_record(app, chapter)
        if "seconds" in record:
            total += record["seconds"]
            memory = f"{record.get('peak_bytes', math.nan) / 1e6:.0f} MB"
            row = [_link(app, docname, chapter), f"{record['seconds']:.1f} s", memory]
            rows.append([cell.replace("nan MB", "not measured") for cell in row])
    rows.append(["Sum", f"{total:.1f} s", ""])
    yield _table(["Chapter", "Time", "Peak memory"], rows)


def _source_map(app: Sphinx, docname: str, document: str) -> Iterator[str]:
    """Yield what a source document names, row by row, and where the course has it."""
    path = Path(app.srcdir) / "book" / "inventory.toml"
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    for row in (r for key, r in found["row"].items() if key.startswith(document)):
        names = re.sub("`(.+?)`", r"<code>\1</code>", escape(row["names"], quote=False))
        places = [_place(app, docname, p, found["planned"]) for p in row["where"]]
        items = "".join(f"<li>{place}</li>" for place in places)
        yield f"<dl><dt>{escape(row['section'])}</dt>"
        yield f"<dd><p>{names}</p><ul class='simple'>{items}</ul></dd></dl>"


def _place(app: Sphinx, docname: str, place: str, planned: Mapping[str, str]) -> str:
    """Return the link to a heading, or the title of a chapter that is to come."""
    if place in planned:
        return f"<em>{escape(planned[place])}</em>"
    page, mark, anchor = place.partition("#")
    toc = app.env.tocs.get(f"book/{page}", nodes.Element())
    headings = {r["anchorname"]: r.astext() for r in toc.findall(nodes.reference)}
    if mark + anchor not in headings:
        _warn(f"source map: no such heading: {place}", docname)
        return escape(place)
    return _link(app, docname, page, mark + anchor, headings[mark + anchor])


def _chapters(app: Sphinx) -> list[str]:
    return list(Book(Path(app.srcdir)).chapters)


def _run_record(app: Sphinx, chapter: str) -> dict[str, Any]:
    """Return what our runner wrote into the notebook, else myst-nb's own time."""
    docname = f"book/{chapter}"
    record = json.loads(app.env.metadata[docname].get("tlcourse", "{}"))
    executed = getattr(app.env, "nb_metadata", {}).get(docname, {}).get("exec_data")
    return record or ({"seconds": executed["runtime"]} if executed else {})


def _glued_numbers(app: Sphinx, chapter: str) -> dict[str, float]:
    """Return the recorded values, as myst-nb wrote them out."""
    folder = Path(getattr(app.env, "mystnb_config").output_folder)  # noqa: B009
    path = folder / "book" / f"{chapter}.glue.json"
    outputs = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for output in outputs.values():  # the prefix is off the data already
        output["metadata"]["scrapbook"]["mime_prefix"] = ""
    cell = {"cell_type": "code", "outputs": list(outputs.values())}
    return _claims.recorded({"cells": [cell]})[0]


def _link(
    app: Sphinx, docname: str, page: str, anchor: str = "", heading: str = ""
) -> str:
    uri = app.builder.get_relative_uri(docname, f"book/{page}") + anchor
    title = app.env.titles[f"book/{page}"].astext()
    if anchor:  # a long title is known by what stands before its colon
        title = f"{title.partition(':')[0]} › {heading}"
    return f'<a href="{uri}">{escape(title)}</a>'


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table that scrolls by itself where the screen is too narrow."""
    titles = "".join(f"<th>{title}</th>" for title in head)
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    table = f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody>"
    scrolling = '<div class="pst-scrollable-table-container">'
    return f'{scrolling}<table class="table">{table}</table></div>'


_TABLES = {
    "claims-table": _claims_table,
    "run-times": _run_times,
    "source-map": _source_map,
}
