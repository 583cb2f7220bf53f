"""`yurt import --to`: files to another node, which imports them by itself."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.progress import Progress
from infra.cli.session import STOPPED, Session, print_json
from infra.cli.words import as_typed, counted_text, records_text, shown, size_text, span_text

if TYPE_CHECKING:
    from infra.exports import Export
    from infra.uploading import Sent, Uploader
    from shared.commands.answers import SentFile
    from shared.http.upload import UploadState

_ASKS_EACH = 1.0
_LISTED = 20


def send(
    session: Session,
    export: "Export",
    base: str,
    token_file: Path | None,
    *,
    again: bool,
    as_json: bool,
) -> None:
    """Sends all files, then waits for what the other node makes of them."""
    from infra.uploading import Uploader

    base, token = _base(base), _token(session, token_file)
    paths, unread = _files(export)
    waiting = Progress(base)

    def waits(why: str, seconds: float) -> None:
        waiting.look(f"{why}; tried again in {span_text(seconds)}")

    with Uploader(base, token, waits=waits) as uploader:
        found = _all_sent(uploader, paths, again=again)
        try:
            found = [_watched(uploader, file) for file in found]
        except KeyboardInterrupt:
            click.echo(
                "\nThe other node has the files and goes on by itself. The same command shows how "
                "far it is.",
                err=True,
            )
            raise SystemExit(STOPPED) from None
    if as_json:
        print_json(found)
    else:
        _show_all(session, found)
        if unread:
            click.echo(f"Not sent, because no source reads these files: {counted_text(unread)}")
    if any(file.state != "done" for file in found):
        raise SystemExit(1)


def _files(export: "Export") -> tuple[list[Path], Counter[str]]:
    from infra.exports import readable_files

    paths, unread = list[Path](), Counter(export.unread)
    for input in export.inputs:
        if input.folder:
            found = list(readable_files(input.path, unread))
            paths += found
            if _are_told_by_their_places(found):
                _say_to_pack(input.path)
        else:
            paths.append(input.path)
    return paths, unread


def _are_told_by_their_places(paths: Sequence[Path]) -> bool:
    """Photos with files beside them that tell of them, or mails of a Maildir."""
    beside = {path.suffix == ".json" for path in paths}
    return len(beside) == 2 or any(path.parent.name in ("cur", "new") for path in paths)


def _say_to_pack(folder: Path) -> None:
    click.echo(
        f"The files of {shown(folder.name)} are sent one by one, and what their places tell is "
        "lost: the folder of a mail, or a file beside a photo. To keep it, send the archive as you "
        "got it, or pack the folder (tar) and send that.",
        err=True,
    )


def _all_sent(uploader: "Uploader", paths: Sequence[Path], *, again: bool) -> "list[SentFile]":
    from infra.uploading import NotReached

    found: list[SentFile] = []
    for path in paths:
        try:
            found.append(_sent(uploader, path, again=again))
        except NotReached as error:
            found += [
                _unsent(rest, rest.stat().st_size, str(error)) for rest in paths[len(found) :]
            ]
            break
    return found


def _sent(uploader: "Uploader", path: Path, *, again: bool) -> "SentFile":
    from infra.uploading import CannotSend, NotReached

    size = path.stat().st_size
    try:
        with Progress(path.name) as hashing, Progress(path.name) as sending:
            sent = uploader.send(
                path,
                again=again,
                hashed=lambda done: hashing.show("looking over", done, size),
                sent=lambda done: sending.show("sending", done, size),
            )
        return _file(path, size, sent.state, sent)
    except NotReached:
        raise
    except (CannotSend, OSError) as error:
        return _unsent(path, size, str(error))
    except KeyboardInterrupt:
        click.echo(
            f"\nStopped at {shown(path.name)}. The same command goes on where it was.", err=True
        )
        raise SystemExit(STOPPED) from None


def _watched(uploader: "Uploader", file: "SentFile") -> "SentFile":
    """The file once its import has ended."""
    from msgspec.structs import replace

    from infra.uploading import CannotSend

    with Progress(Path(file.path).name) as progress:
        while file.state == "importing" and file.sha256 is not None:
            try:
                state = uploader.state(file.sha256)
            except CannotSend as error:
                return replace(file, error=str(error))
            file = _told(file, state)
            if file.state == "importing":
                _draw(progress, state)
                time.sleep(_ASKS_EACH)
    return file


def _draw(progress: Progress, state: "UploadState") -> None:
    far = state.progress
    if far is None:
        progress.look("waits for its turn at the other node")
        return
    records = sum(far.new.values()) + sum(far.known.values())
    said = far.doing or ""
    if state.error is not None:
        said = f"tried again soon: {state.error}"
    progress.show("imported there", far.done, far.total, records=records, said=said)


def _file(path: Path, size: int, state: "UploadState", sent: "Sent") -> "SentFile":
    from shared.commands.answers import SentFile
    from shared.imports.inputs import shown as named

    file = SentFile(
        path=named(path),
        size=size,
        state="importing",
        sha256=sent.sha256,
        moved=sent.moved,
        job=state.job,
        new={},
        known={},
        error=None,
    )
    return _told(file, state)


def _unsent(path: Path, size: int, reason: str) -> "SentFile":
    from shared.commands.answers import SentFile
    from shared.imports.inputs import shown as named

    return SentFile(
        path=named(path),
        size=size,
        state="unsent",
        sha256=None,
        moved=0,
        job=None,
        new={},
        known={},
        error=reason,
    )


def _told(file: "SentFile", state: "UploadState") -> "SentFile":
    from msgspec.structs import replace

    far = state.progress
    return replace(
        file,
        # What was to be sent, once it was sent, is only not begun yet.
        state=state.state if state.state != "send" else "importing",
        job=state.job,
        new=far.new if far is not None else {},
        known=far.known if far is not None else {},
        error=state.error,
    )


def _show_all(session: Session, found: "Sequence[SentFile]") -> None:
    """Of many files only those in trouble are named, and of these not more than a screen holds."""
    many = len(found) > _LISTED
    listed = [file for file in found if file.state != "done"] if many else found
    for file in listed[:_LISTED]:
        _show(session, file)
    if len(listed) > _LISTED:
        click.echo(f"and {len(listed) - _LISTED:,} more like these")
    if many:
        done = [file for file in found if file.state == "done"]
        moved = sum(file.moved for file in found)
        click.echo(
            f"In all, {len(done):,} of {len(found):,} files imported, {size_text(moved)} sent"
        )
        new, known = (
            sum((Counter(counts) for counts in each), Counter[str]())
            for each in ((file.new for file in done), (file.known for file in done))
        )
        _show_counts(new, known)


def _show_counts(new: Mapping[str, int], known: Mapping[str, int]) -> None:
    for words, counts in (("new           ", new), ("already here  ", known)):
        if counts:
            click.echo(f"  {words}{records_text(counts)}")
    if new.get("reject") or known.get("reject"):
        click.echo("  why there are rejects, that node says: yurt rejects")


def _show(session: Session, file: "SentFile") -> None:
    name = shown(Path(file.path).name)
    if file.state == "done" and file.moved:
        click.echo(f"{name}: sent {size_text(file.moved)}, imported")
        _show_counts(file.new, file.known)
    elif file.state == "done":
        click.echo(f"{name}: it was there already, and is imported. That brought:")
        _show_counts(file.new, file.known)
    elif file.state == "unsent":
        click.echo(f"{name}: not sent: {shown(file.error or '')}")
    else:
        reason = f": {shown(file.error)}" if file.error is not None else ""
        click.echo(f"{name}: its import there has {_HOW[file.state]}{reason}")
        if file.state == "stopped":
            jobs = as_typed(session, "yurt jobs")
            click.echo(f"  to mend it, on that node: {jobs} resume {file.job}")


_HOW = {"stopped": "stopped", "importing": "not ended yet"}


def _base(url: str) -> str:
    from shared.commands.errors import Refused
    from shared.model.address import checked_base, is_readable_on_the_way

    try:
        base = checked_base(url)
    except ValueError as error:
        raise Refused(str(error)) from None
    if is_readable_on_the_way(base):
        raise Refused(
            f"{base} would send your token and your files readable to anyone on the way; use "
            "https://"
        )
    return base


def _token(session: Session, file: Path | None) -> str:
    """Never an argument: those are seen by every user of the machine."""
    from shared.commands.errors import Failed, Refused

    if file is None:
        token, where = session.environ.get("YURT_TOKEN", "").strip(), "YURT_TOKEN"
    else:
        try:
            token, where = file.read_text("utf-8").strip(), str(file)
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"the token cannot be read from {file}: {error}") from error
    if not token and file is None:
        raise Refused(
            "--to needs your token for that node: make one there with `yurt token NAME`, write it "
            "to a file, and name that with --token-file (or set YURT_TOKEN)"
        )
    if not token or len(token.split()) != 1 or not token.isascii() or not token.isprintable():
        raise Refused(f"what is in {where} is no token; one is a single word of letters and digits")
    return token
