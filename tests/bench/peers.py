"""Programs of others that do a like thing, from PyPI, in an environment of their own."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def installed(folder: Path, packages: Sequence[str]) -> Path:
    """Makes an environment in the folder; the directory of its programs."""
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([uv, "pip", "install", "-q", "--python", str(python), *packages], check=True)
    return folder / "bin"
