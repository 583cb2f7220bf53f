"""The source of a function: what a build makes of a zip, and what the function starts with."""

import ast
import hashlib
import io
import zipfile

from tests.google.refusal import Refusal, invalid

_NO_MAIN = (
    "missing main.py and GOOGLE_FUNCTION_SOURCE not specified. Either create the function in main.py "
    "or specify GOOGLE_FUNCTION_SOURCE to point to the file that contains the function"
)


def digest(data: bytes) -> str:
    """Of the files' names and contents alone, not of times, compression or empty folders."""
    total = hashlib.sha256()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in sorted(name for name in archive.namelist() if not name.endswith("/")):
            total.update(f"{name}\0".encode() + hashlib.sha256(archive.read(name)).digest())
    return total.hexdigest()


def check_build(data: bytes, logs: str) -> None:
    """Refuses what the buildpack fails at. logs: where the message says they are."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile:
        raise invalid("Build failed: the source is no zip file.") from None
    with archive:
        names = set(archive.namelist())
        for name in ("main.py", "requirements.txt"):
            if name not in names:
                raise _failed(_NO_MAIN if name == "main.py" else f"missing {name}", logs)
        for name in sorted(name for name in names if name.endswith(".py")):
            try:
                ast.parse(archive.read(name), name)
            except SyntaxError as error:
                raise _failed(f"compileall: {error}", logs) from None


def defines(data: bytes, entry: str) -> bool:
    """Whether main.py has a top-level function, or imports one, of that name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        module = ast.parse(archive.read("main.py"))
    return entry in {name for node in module.body for name in _bound(node)}


def _bound(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


def _failed(reason: str, logs: str) -> Refusal:
    return invalid(
        f"Build failed with status: FAILURE and message: {reason}. For more details see the logs at "
        f"{logs}."
    )
