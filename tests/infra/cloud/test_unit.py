"""The service that keeps the bridge running, and setting it up for a user."""

import itertools
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.cloud.unit import CannotInstall, install, unit_text

TEXT = unit_text(
    ["/opt/my yurt/bin/yurt", "bridge"], "/opt/my yurt", {"YURT_PUBLIC_BASE": "https://y"}
)


class Killed(BaseException):
    """The process is no more: nobody catches this."""


class Systemd:
    """failing: how each command does, or, with a number, the command of that number."""

    def __init__(self, failing: BaseException | None = None, number: int | None = None) -> None:
        self.called: list[str] = []
        self._failing = failing
        self._number = number

    def __call__(self, command: Sequence[str]) -> None:
        self.called.append(" ".join(command))
        if self._failing is not None and self._number in (None, len(self.called)):
            raise self._failing


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


def test_the_unit_says_what_runs() -> None:
    assert 'ExecStart="/opt/my yurt/bin/yurt" bridge\n' in TEXT
    assert "Environment=YURT_PUBLIC_BASE=https://y\n" in TEXT
    assert "Restart=always\nRestartSec=10\nRestartPreventExitStatus=2\n" in TEXT
    assert "WantedBy=default.target\n" in TEXT
    assert "User=" not in TEXT


def test_the_unit_of_a_system_runs_as_nobody_who_matters() -> None:
    text = unit_text(["/bin/yurt", "bridge"], "/opt/yurt", {}, user="yurt")
    assert {"User=yurt", "ProtectHome=yes", "WantedBy=multi-user.target"} <= set(text.splitlines())


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain", "plain"),
        ("from a import b; b()", '"from a import b; b()"'),
        ("100%", '"100%%"'),
        ("$HOME", '"$$HOME"'),
        ('say "so"', '"say \\"so\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("two\nlines", '"two\\nlines"'),
    ],
)
def test_words_are_written_so_that_systemd_reads_them(word: str, written: str) -> None:
    assert f"ExecStart=/bin/x {written}\n" in unit_text(["/bin/x", word], "/", {})


def test_of_a_program_and_of_variables_a_dollar_is_just_that() -> None:
    text = unit_text(["/opt/$5/yurt", "$HOME"], "/", {"PRICE": "$5 100%"})
    assert 'ExecStart="/opt/$5/yurt" "$$HOME"\n' in text
    assert 'Environment="PRICE=$5 100%%"\n' in text


def test_it_is_set_up_once(environ: dict[str, str], tmp_path: Path) -> None:
    systemd = Systemd()
    assert install(TEXT, environ, systemd)
    unit = tmp_path / ".config/systemd/user/yurt-bridge.service"
    assert unit.read_text() == TEXT
    assert systemd.called[-1] == "systemctl --user restart yurt-bridge.service"
    again = Systemd()
    assert not install(TEXT, environ, again)
    assert "systemctl --user restart yurt-bridge.service" not in again.called
    assert list(unit.parent.iterdir()) == [unit]


def test_what_changed_is_started_anew(environ: dict[str, str], tmp_path: Path) -> None:
    environ["XDG_CONFIG_HOME"] = str(tmp_path / "elsewhere")
    install(TEXT, environ, Systemd())
    systemd = Systemd()
    assert install(TEXT + "# changed\n", environ, systemd)
    assert systemd.called[-1] == "systemctl --user restart yurt-bridge.service"
    assert (tmp_path / "elsewhere/systemd/user/yurt-bridge.service").exists()


@pytest.mark.parametrize("death", [Killed(), subprocess.CalledProcessError(1, ["systemctl"])])
def test_what_was_not_started_anew_is_so_the_next_time(
    death: BaseException, environ: dict[str, str], tmp_path: Path
) -> None:
    for number in itertools.count(1):
        install(TEXT, environ, Systemd())
        dying = Systemd(death, number)
        try:
            install(f"{TEXT}# {number}\n", environ, dying)
        except (Killed, CannotInstall):
            systemd = Systemd()
            assert install(f"{TEXT}# {number}\n", environ, systemd)
            assert systemd.called[-1] == "systemctl --user restart yurt-bridge.service"
        else:
            assert number > 3
            return


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (FileNotFoundError("systemctl"), "there is no systemd here"),
        (subprocess.CalledProcessError(1, ["systemctl"]), "systemd cannot be used"),
    ],
)
def test_without_systemd_it_says_what_to_do(
    failure: Exception, said: str, environ: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(CannotInstall) as refused:
        install(TEXT, environ, Systemd(failure))
    assert said in str(refused.value)
    assert "run `yurt bridge` by hand" in str(refused.value)
    assert TEXT in str(refused.value)
    assert list(tmp_path.iterdir()) == []
