"""A healthy book builds, is built once, and survives being killed."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from html import unescape
from pathlib import Path

import psutil
import pytest
from book.smallbook import SmallBook

from tlcourse import runner
from tlcourse.book import Book

COMMAND = [sys.executable, "-m", "tlcourse.cli", "build", "--root"]


def plain(page: Path) -> str:
    """Return the words of a rendered page."""
    body = re.search(r"<article.*?</article>", page.read_text(encoding="utf-8"), re.S)
    assert body
    return " ".join(re.sub(r"<[^>]+>", " ", body.group()).split())


def test_a_healthy_book_is_rendered_once(small: SmallBook) -> None:
    said: list[str] = []
    first = runner.build(small.book(), say=said.append)
    assert first.defects == []
    assert said[:2] == [
        f"part/{n}: unchanged since its last run" for n in ("alpha", "beta")
    ]
    assert small.book().site.is_file()
    html = small.root / "_build" / "html" / "book"
    assert "It is 0.50" in plain(html / "part" / "alpha.html")
    report = plain(html / "reproducibility.html")
    assert "The value of beta is a half. 0.4 to 0.6 accuracy 0.5" in report
    times = plain(html / "run-times.html")
    assert re.search(r"Alpha [\d.]+ s \d+ MB Beta [\d.]+ s \d+ MB Sum", times)

    listed = "1 A alpha & <more> Alpha › The value Run times Gamma (not written yet)"
    assert listed in unescape(plain(html / "source-map.html"))
    link = '<a href="part/alpha.html#the-value">'
    assert link in (html / "source-map.html").read_text(encoding="utf-8")

    alpha = (html / "part" / "alpha.html").read_text(encoding="utf-8")
    links = re.findall(r'<(\w+)><a [^>]*href="[^"]*#term-value">', alpha)
    assert links == ["strong"] and "so is another <em>value</em>" in alpha

    for page in html.parent.rglob("*"):
        if page.suffix in {".html", ".ipynb", ".json", ".js", ".md"}:
            assert str(small.root) not in page.read_text(encoding="utf-8"), page

    before = (html / "part" / "alpha.html").stat().st_mtime_ns
    start = time.monotonic()
    assert small.build(site=True).defects == []
    assert time.monotonic() - start < 5
    assert (html / "part" / "alpha.html").stat().st_mtime_ns == before

    (html / "part" / "alpha.html").write_text("tampered with")
    assert small.build(site=True).defects == []
    assert "It is 0.50" in plain(html / "part" / "alpha.html")


def test_plain_jupyter_book_shows_the_same(small: SmallBook) -> None:
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", ".", "-n", "-W", "--keep-going"]
    done = subprocess.run(
        command,
        cwd=small.root,
        env=small.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    html = small.root / "_build" / "html" / "book"
    assert "It is 0.50" in plain(html / "part" / "alpha.html")
    assert "a half. 0.4 to 0.6 accuracy 0.5" in plain(html / "reproducibility.html")
    assert re.search(r"Alpha [\d.]+ s not measured", plain(html / "run-times.html"))


@pytest.mark.parametrize("harm", ["cut off", "swapped", "record", "hash"])
def test_what_does_not_fit_its_record_runs_again(small: SmallBook, harm: str) -> None:
    book = small.book()
    path = book.executed("part/beta")
    record = path.with_suffix(".json")
    if harm == "cut off":
        path.write_text(path.read_text()[:-100])
    elif harm == "swapped":  # killed between the notebook and its record
        path.write_text(path.read_text().replace("0.5", "0.55"))
    elif harm == "record":
        record.write_text(record.read_text()[:-10])
    else:
        record.unlink()
    inputs = book.inputs(book.claims()[0])
    assert book.changed("part/alpha", inputs["part/alpha"]) == []
    assert book.changed("part/beta", inputs["part/beta"])
    verified = runner.verify(book)
    assert [str(d).split(" (")[0] for d in verified.defects] == [
        "part/beta: must run again"
    ]


@pytest.mark.parametrize(
    "part", ["notebook", "package", "lock", "claims", "profile", "threads", "torch"]
)
def test_the_key_holds_everything_that_outputs_depend_on(
    small: SmallBook, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {}
    if part == "notebook":
        small.replace(small.beta, "SEED / 1000", "SEED / 1001")
    elif part == "package":
        monkeypatch.setattr("tlcourse.book.tree_hash", lambda folder: "another")
    elif part == "lock":
        (small.root / "requirements.lock").write_text("numpy==3\n")
    elif part == "claims":
        seeds = small.root / "book" / "calibration" / "beta.csv"
        seeds.parent.mkdir()
        seeds.write_text("seed,beta-value\n")
    elif part == "profile":
        settings["profile"] = "hub"
    elif part == "threads":
        monkeypatch.setattr("tlcourse.book.cores", lambda: 64)
    else:
        monkeypatch.setattr("tlcourse.book.version", lambda name: "99")
    book = Book(small.root, **settings)
    (small.root / "_build/tlcourse/executed/hub").symlink_to("embedded")
    changed = book.changed("part/beta", book.inputs(book.claims()[0])["part/beta"])
    expected = {"profile": ["profile", "parameters"]}.get(part, [part])
    assert changed == expected


def test_outputs_and_ids_are_no_part_of_the_key(small: SmallBook) -> None:
    def change(cells: list[dict[str, object]]) -> None:
        cells[2].update(id="another", execution_count=7, outputs=[])

    book = small.book()
    before = book.inputs({})
    small.cells(change)
    assert book.inputs({}) == before


def test_one_build_at_a_time(small: SmallBook) -> None:
    from filelock import FileLock

    book = small.book()
    with (
        FileLock(book.work / "build.lock"),
        pytest.raises(TimeoutError, match="runner.build: one build at a time"),
    ):
        runner.build(book)


def processes(root: Path) -> list[psutil.Process]:
    """Return the processes that work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            places = [process.cwd(), *process.cmdline()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(root) in p for p in places):
            found.append(process)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a signal of POSIX")
def test_a_build_may_be_killed_at_any_moment(small: SmallBook) -> None:
    draw = random.Random(20)
    work = small.root / "_build" / "tlcourse"
    for folder in ("alpha", "beta"):
        (work / f"executed/embedded/part/{folder}.json").unlink()
    moments = [
        "executed/**/alpha.unfinished.ipynb",
        "executed/**/beta.unfinished.ipynb",
        "executed/**/*.json",
        "stage/_config.yml",
        "render-*/_build/html",
    ]
    for moment in moments:
        child = subprocess.Popen(
            [*COMMAND, str(small.root)],
            env=small.environment(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        while child.poll() is None and not any(work.glob(moment)):
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 1.5))
        child.kill()
        child.wait()
        limit = time.monotonic() + 10
        while processes(small.root):
            assert time.monotonic() < limit, "an orphan goes on"
            time.sleep(0.1)
    report = small.build(site=True)
    assert report.defects == []
    assert report.values == {"alpha-value": 0.5, "beta-value": 0.5}
    assert small.book().site.is_file()
    assert not list(work.glob("render-*"))
    assert not list(work.glob("executed/**/*.unfinished.ipynb"))
    for path in work.glob("executed/**/*.ipynb"):
        assert json.loads(path.read_text())["metadata"]["tlcourse"]["seconds"] > 0


def test_buttons_lead_to_a_repository_only_where_there_is_one(small: SmallBook) -> None:
    page = small.root / "_build" / "html" / "book" / "part" / "alpha.html"
    assert small.build(site=True).defects == []
    assert "https://github.com" not in page.read_text()
    address = "https://github.com/people/course"
    assert small.build(site=True, repository=address).defects == []
    for link in (
        f'href="{address}"',
        f"{address}/edit/main/book/part/alpha.ipynb",
        f"{address}/issues/new",
        "https://mybinder.org/v2/gh/people/course/main?",
        "https://colab.research.google.com/github/people/course/blob/gh-pages/"
        "_sources/book/part/alpha.ipynb",
        '<meta property="og:image" '
        'content="https://people.github.io/course/_static/preview.png">',
    ):
        assert link in page.read_text(), link
    assert "google.colab" not in page.read_text()
    published = small.root / "_build" / "html" / "_sources" / "book" / "part"
    cells = json.loads((published / "alpha.ipynb").read_text())["cells"]
    assert f"git clone --quiet --depth 1 {address} course" in cells[1]["source"]
    exec(re.sub("(?m)^ +[!%].*", "    raise SystemExit", cells[1]["source"]))
    with pytest.raises(ValueError, match="https://HOST/OWNER/NAME, got 'course'; lea"):
        small.build(repository="course")


def test_a_page_borrows_a_figure_of_a_chapter(small: SmallBook) -> None:
    own = small.page.read_text()
    borrowed = (
        "```{{borrowed-figure}} {}\n:doc: part/alpha.ipynb\n:alt: {}\n\n"
        "It rises to {{glue:text}}`part/alpha.ipynb::alpha-value:.1f`.\n```\n"
    )
    small.page.write_text(own + borrowed.format("alpha-fig-line", "A line."))
    assert small.build(site=True).defects == []
    html = (small.root / "_build" / "html" / "book" / "intro.html").read_text()
    assert re.search(r'<figure.*?<img alt="A line\.".*?rises to .*?0\.5', html, re.S)
    for key, alt, cause in (
        ("no-such", "A line.", "Glue reference 'no-such' not found"),
        ("alpha-fig-line", "", "figure without alt text"),
    ):
        small.page.write_text(own + borrowed.format(key, alt))
        found = [str(defect) for defect in small.build(site=True).defects]
        assert any(cause in defect for defect in found), found
