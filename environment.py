"""Make the course's environment: ``python environment.py`` (standard library only).

It creates `.venv`, installs exactly what `requirements.lock` names, each file checked
against its hash, and then the package itself. ``--torch-index ADDRESS`` takes torch and
torchvision, in the locked versions, from that index instead: the way to CPU wheels on
Linux, where the registry's wheels bring several GB of CUDA libraries. The lock cannot
hold the hashes of another index, so those two are then checked by version only.
``--conda`` prints `environment.yml`, the same versions for conda and Binder.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "requirements.lock"
CUDA = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*")


def locked() -> dict[str, str]:
    """Return the lock as name -> entry, an entry being its lines with hashes."""
    entries = re.split(r"^(?=\S)", LOCK.read_text(encoding="utf-8"), flags=re.M)
    return {e.split("==")[0]: e for e in entries if "==" in e.split("\n")[0]}


def conda() -> str:
    """Return the text of `environment.yml`."""
    pins = [e.split("\n")[0].rstrip(" \\") for e in locked().values()]
    lines = [f"      - '{pin.replace(chr(39), chr(34))}'" for pin in pins]
    head = (
        "# Made from requirements.lock by `make lock`; for conda and Binder.\n"
        "name: tlcourse\nchannels: [conda-forge]\ndependencies:\n"
        "  - python=3.12\n  - pip\n  - pip:\n"
    )
    return head + "\n".join(lines) + "\n      - -e .\n"


def create(folder: Path, torch_index: str) -> None:
    """Create the environment in `folder`, replacing what is there."""
    if not (3, 11) <= sys.version_info < (3, 14):
        sys.exit(
            "This course needs Python 3.11, 3.12 or 3.13; this is "
            f"{sys.version.split()[0]}. Name one: make PYTHON=python3.12"
        )
    venv.create(folder, clear=True, with_pip=True)
    bin_folder = folder / ("Scripts" if sys.platform == "win32" else "bin")
    python = str(bin_folder / "python")
    entries = locked()

    def install(*arguments: str | Path) -> None:
        # Compiled once here, not by every notebook that may not write into the folder.
        command = [str(bin_folder / "uv"), "pip", "install", "--quiet"]
        command += ["--compile-bytecode", "--python", python, "--no-deps"]
        command += map(str, arguments)
        subprocess.run(command, check=True)

    def listed(name: str, names: list[str]) -> Path:
        path = folder / name
        path.write_text("".join(entries[n] for n in names), encoding="utf-8")
        return path

    hashed = ["--require-hashes", "-r"]
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, *hashed, str(listed("uv.txt", ["uv"]))], check=True)
    if torch_index:
        install(
            *hashed, listed("rest.txt", [n for n in entries if not CUDA.fullmatch(n)])
        )
        pins = [entries[n].split()[0] for n in ("torch", "torchvision")]
        install("--default-index", torch_index, *pins)
    else:
        install(*hashed, LOCK)
    install("--no-build-isolation", "--editable", ROOT)
    # Else the first notebook would do it, and say so on standard error.
    subprocess.run([python, "-c", "import matplotlib.font_manager"], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv")
    parser.add_argument("--torch-index", default="", metavar="ADDRESS")
    parser.add_argument("--conda", action="store_true", help="print environment.yml")
    options = parser.parse_args()
    if options.conda:
        print(conda(), end="")
    else:
        create(options.folder, options.torch_index)
