"""What every test shares: no network, fixed seeds, a cache of its own."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

gc.disable()  # until all is imported: a fifth of the start

TESTS = Path(__file__).parent
ROOT = TESTS.parent

# Python loads sitecustomize from the path at its start, so kernels and other
# subprocesses of the tests refuse the network as well.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(TESTS / "offline"), *filter(None, [os.environ.get("PYTHONPATH")])]
)
sys.path.insert(0, str(TESTS / "offline"))

import no_network  # noqa: E402

no_network.block()
os.environ["MPLBACKEND"] = "Agg"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # before torch is loaded, see `execution`


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of every later search for garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' artefacts out of the user's cache; test processes share them."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # then that folder is the process's own
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLCOURSE_CACHE", str(folder / "cache"))
        yield


def _when(item: pytest.Item) -> int:
    """Return 0 for the test that builds the book, 2 for those that wait for it."""
    if "built" not in getattr(item, "fixturenames", ()):
        return 1
    return 2 * ("whole_book" not in item.name)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Begin with the build of the whole book, and end with what waits for it.

    The tests marked `hub` are left out unless they are asked for by name.
    """
    items.sort(key=_when)
    if "hub" in (config.getoption("markexpr") or ""):
        return
    hub = [item for item in items if item.get_closest_marker("hub")]
    if hub:
        items[:] = [item for item in items if not item.get_closest_marker("hub")]
        config.hook.pytest_deselected(items=hub)


@pytest.fixture(autouse=True)
def _offline(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuse every address that is not on this machine."""
    if not request.node.get_closest_marker("hub"):
        yield
        return
    no_network.allow()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLCOURSE_TEST_NETWORK", "1")
        yield
    no_network.block()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start each test from the same global random state."""
    from tlcourse.runtime import seed_all

    seed_all(0)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder that holds `_toc.yml`."""
    return ROOT
