from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from infra.runtime import NoEnvironment, environment_of, variables


def wheel(folder: Path, name: str, requires: str = "") -> str:
    """A package of one empty module; what it goes by in a list of pins."""
    path = folder / f"{name}-1-py3-none-any.whl"
    info = f"{name}-1.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{needs}"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return f"{name} @ {path.as_uri()}"


def modules(environment: Path) -> str:
    """What can be imported there."""
    script = "import pkgutil; print(*(m.name for m in pkgutil.iter_modules() if len(m.name) == 1))"
    python = environment / "bin" / "python"
    return subprocess.check_output([python, "-c", script], text=True).strip()


def test_an_environment_has_exactly_its_set_and_is_made_once(tmp_path: Path) -> None:
    pins = [wheel(tmp_path, "a", "b"), wheel(tmp_path, "b")]
    environment = environment_of(pins, tmp_path / "venvs")
    assert modules(environment) == "a b"

    (environment / "mark").touch()
    assert environment_of(pins, tmp_path / "venvs") == environment
    assert (environment / "mark").exists()


def test_a_set_with_a_hole_is_refused(tmp_path: Path) -> None:
    pins = [wheel(tmp_path, "a", "b")]
    with pytest.raises(NoEnvironment, match="a 1 requires b, which is not installed"):
        environment_of(pins, tmp_path / "venvs")


def test_what_cannot_be_installed_is_said_with_the_words_of_pip(tmp_path: Path) -> None:
    pins = [f"a @ {(tmp_path / 'nowhere.whl').as_uri()}"]
    for _ in range(2):  # what failed is not taken for complete
        with pytest.raises(NoEnvironment, match=r"(?s)pip install .*nowhere\.whl"):
            environment_of(pins, tmp_path / "venvs")


def test_a_function_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/here")
    monkeypatch.setenv("YURT_DATA", "/here")
    assert not {"PYTHONPATH", "YURT_DATA"} & variables("hello", {}).keys()
    assert variables("hello", {"YURT_DATA": "/there"})["YURT_DATA"] == "/there"
