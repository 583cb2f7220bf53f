"""Contacts and calendars of a DAV server (CardDAV, RFC 6352; CalDAV, RFC 4791): what `carddav` and
`caldav` have in common.

Found from one URL by RFC 6764 and the properties of the user; read by RFC 6578: the server says
what changed since a token, which the cursor keeps for each collection. A listing is worked off in
the order of its hrefs: the cursor has the token that the work began with, the one that it ends
with, and the last href that was read. Going on asks for the same changes again and skips those up
to that href; what changed meanwhile comes with the next token. So neither the cursor nor memory
grows with the collection.

A server without tokens is asked for everything when its CTag changed, or each time if it has none:
the etags of all items would be a cursor without bounds.

The raw bytes of an item are those of the answer, in which XML makes every line end a line feed.

What is deleted at the source stays here: the collector adds, and no record can say that its source
is gone. How many a listing names is logged.
"""

import html
import ipaddress
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.model.records import AnyRecord
from shared.model.steps import STEP_BYTES, Bad, Step
from shared.services.dav_client import Answer, Client, Refusal, joined
from shared.services.multistatus import DAV, Response
from shared.services.protocol import Asked, BadOptions, CannotBeAsked, NotLetIn
from shared.sources.mail import parse_date
from shared.sources.resources import OBJECT_LIMIT, Keeping, Read

BATCH = 100
"""Items that are asked for at once."""
LISTED = 5_000
"""Hrefs that are held of a listing. Of a longer one they are the first, and it is asked again."""

_MOST_COLLECTIONS = 200
_MOST_FOUND = 2_000
_HREF = 1_000
_NAME = 200
_TOKEN = 1_000
_USUAL_SIZE = 4_000
_SHOWN = 64 * 1024
_STALE = frozenset({400, 403, 409, 410, 412, 507})
"""Answers to a token that is not valid any more. RFC 6578 says 403 or 409."""
_UNABLE = frozenset({400, 403, 405, 409, 415, 422, 501, 507})
"""Answers of a server that does not list changes."""

_CS = "{http://calendarserver.org/ns/}"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What tells the two services apart.

    collection, home, data: names of a resource type, of the property of a user that links to the
    collections, and of the property that an item's text is in. component: what a collection must be
    able to hold, where it says what it can. read: an item's bytes.
    """

    name: str
    what: str
    namespace: str
    collection: str
    home: str
    data: str
    multiget: str
    component: str | None
    read: Callable[[bytes, Keeping], Read]

    def tag(self, name: str) -> str:
        return f"{{{self.namespace}}}{name}"


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """url: of the server, of a user there, or of one collection. collections: names or URLs of
    those that are read; all, if none is named."""

    url: str
    user: str
    collections: tuple[str, ...] = ()


class Collection(NamedTuple):
    """token, ctag: what the server says it is at now."""

    url: str
    name: str
    token: str | None
    ctag: str | None


class _State(Struct, frozen=True, omit_defaults=True):
    """How far a collection is read.

    until: `s` and the token, or `c` and the CTag, up to which all was read. following: the same for
    what is being read now, of which the items up to the href `after` were.
    """

    until: str | None = None
    following: str | None = None
    after: str | None = None


class _Item(NamedTuple):
    href: str
    size: int


class _Page(NamedTuple):
    """Part of a listing: the first items after the state's `after`, in order.

    until: as in the state, for after all of it. more: it has more items. truncated: the server
    gave only some, up to the token.
    """

    items: Sequence[_Item]
    until: str | None
    more: bool
    truncated: bool
    bad: Sequence[Bad]


_cursor = msgspec.json.Decoder(dict[str, _State])


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """As `Service.checked`."""
    try:
        found = msgspec.convert(dict(options), Options)
    except msgspec.ValidationError as error:
        raise BadOptions(f"{error}; write url, user, and perhaps collections") from error
    _check_url(found.url)
    if not found.user or ":" in found.user or not found.user.isprintable():
        raise BadOptions("`user` must be a name without a colon, as you log in with it")
    if len(found.collections) > _MOST_COLLECTIONS or not all(map(str.strip, found.collections)):
        raise BadOptions(f"`collections` must be names or URLs, at most {_MOST_COLLECTIONS}")
    return {"url": found.url, "user": found.user, "collections": list(found.collections)}


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadOptions(f"`url` is no URL: {error}") from error
    if not host or parts.scheme not in ("http", "https") or not url.isprintable() or " " in url:
        raise BadOptions("`url` must be the server's, such as https://dav.example.org/")
    if parts.username is not None or parts.password is not None:
        raise BadOptions(
            "`url` must not hold a user or password; write `user`, and give the secret"
        )
    if parts.query or parts.fragment:
        raise BadOptions("`url` must end with its path, without ? and #")
    if parts.scheme == "http" and not _is_loopback(host):
        raise BadOptions("`url` must begin with https://: a password would be seen on its way")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def steps(kind: Kind, asked: Asked) -> Iterator[Step]:
    """As `Service.steps`."""
    options = msgspec.convert(checked(asked.options), Options)
    if not asked.secret:
        raise NotLetIn(
            f"{options.url} wants a password: yurt collectors change {asked.collector} --secret"
        )
    client = Client(asked.collector, options.url, options.user, asked.secret)
    try:
        found = _chosen(_Discovery(kind, client, options.url).collections(), kind, options)
        yield from _Run(kind, client, asked, found).steps()
    finally:
        client.close()


# What there is


class _Discovery:
    def __init__(self, kind: Kind, client: Client, url: str) -> None:
        self._kind = kind
        self._client = client
        self._url = url
        self._body = _propfind(
            kind, "current-user-principal", "resourcetype", "displayname", "sync-token"
        )

    def collections(self) -> list[Collection]:
        """By URL. Raises `CannotBeAsked` if there is none."""
        found = self._beginning()
        if isinstance(found, Collection):
            return [found]
        homes = dict.fromkeys(self._homes(*found))
        every = (one for home in homes for one in self._in_home(home))
        collections = {one.url: one for one in islice(every, _MOST_FOUND)}
        if not collections:
            raise CannotBeAsked(f"there is no {self._kind.what} of this user at {self._url}")
        return [collections[url] for url in sorted(collections)]

    def _beginning(self) -> Collection | tuple[str, Response]:
        """The collection that the URL is, or what knows the user: where it is, and what it says."""
        known = joined(self._url, f"/.well-known/{self._kind.name}") or self._url
        has_path = urlsplit(self._url).path.strip("/")
        refusals: list[CannotBeAsked] = []
        for url in (self._url, known) if has_path else (known, self._url):
            try:
                answer = self._client.ask("PROPFIND", url, self._body, "0")
                response = next(iter(answer), None)
            except CannotBeAsked as error:
                if isinstance(error, Refusal) and error.status == 403 and url == self._url:
                    raise
                refusals.append(error)
                continue
            if response is None:
                continue
            collection = self._collection(answer.url, response)
            if collection is not None:
                return collection
            if response.hrefs(f"{DAV}current-user-principal") or self._links(response):
                return answer.url, response
        if refusals:
            raise refusals[0]
        raise CannotBeAsked(
            f"{self._url} knows no user; see that it is the server's URL for {self._kind.name}"
        )

    def _homes(self, url: str, response: Response) -> Iterator[str]:
        """Where the user's collections are."""
        links = self._links(response)
        for principal in response.hrefs(f"{DAV}current-user-principal") if not links else ():
            url = self._followed(url, principal)
            answer = self._client.ask("PROPFIND", url, self._body, "0")
            links = [link for each in islice(answer, 1) for link in self._links(each)]
            break
        for link in links[:_MOST_COLLECTIONS]:
            yield self._followed(url, link)

    def _links(self, response: Response) -> list[str]:
        return response.hrefs(self._kind.tag(self._kind.home))

    def _in_home(self, home: str) -> Iterator[Collection]:
        answer = self._client.ask("PROPFIND", home, self._body, "1")
        for response in answer:
            found = self._collection(answer.url, response)
            if found is not None:
                yield found

    def _collection(self, url: str, response: Response) -> Collection | None:
        place = joined(url, response.href)
        kinds = response.children(f"{DAV}resourcetype")
        if self._kind.tag(self._kind.collection) not in kinds or place is None:
            return None
        if not self._client.is_ours(place) or len(place) > _HREF or not self._holds(response):
            return None
        return Collection(
            place,
            (response.text(f"{DAV}displayname") or _last(place))[:_NAME],
            _kept(response.text(f"{DAV}sync-token")),
            _kept(response.text(f"{_CS}getctag")),
        )

    def _holds(self, response: Response) -> bool:
        """Whether the collection is for what is read: some calendars hold to-dos alone."""
        supported = response.properties.get(self._kind.tag("supported-calendar-component-set"))
        if supported is None or self._kind.component is None:
            return True
        return self._kind.component in {child.get("name", "").upper() for child in supported}

    def _followed(self, url: str, link: str) -> str:
        found = joined(url, link)
        if found is None or not self._client.is_ours(found):
            raise CannotBeAsked(
                f"{url} says that this user's are at {link[:200]}, and your password goes only to "
                "the server that you named; if you trust that one, make it the `url`"
            )
        return found


def _chosen(found: Sequence[Collection], kind: Kind, options: Options) -> list[Collection]:
    """Those that the options name. Raises `CannotBeAsked`."""
    if not options.collections:
        if len(found) > _MOST_COLLECTIONS:
            raise CannotBeAsked(f"there are {len(found)}; name those to read in `collections`")
        return list(found)
    chosen: dict[str, Collection] = {}
    for wanted in options.collections:
        named = [one for one in found if _is_called(one, wanted, options.url)]
        if not named:
            names = ", ".join(repr(one.name[:60]) for one in found[:20])
            raise CannotBeAsked(
                f"there is no {kind.what} {wanted!r}; write one of those there are: {names}"
            )
        chosen.update((one.url, one) for one in named)
    return [chosen[url] for url in sorted(chosen)]


def _is_called(collection: Collection, wanted: str, url: str) -> bool:
    wanted = wanted.strip()
    if wanted in (collection.name, _last(collection.url)):
        return True
    place = joined(url, wanted) if "/" in wanted else None
    return place is not None and _same(place) == _same(collection.url)


def _last(url: str) -> str:
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])


def _same(place: str) -> str:
    """A place as it can be compared: servers encode the same path in several ways."""
    return unquote(place).rstrip("/")


# What is new


class _Run:
    """One call of `steps`: the collections one after the other."""

    def __init__(
        self, kind: Kind, client: Client, asked: Asked, collections: Sequence[Collection]
    ) -> None:
        self._kind = kind
        self._client = client
        self._asked = asked
        self._collections = collections
        had = _states(asked.cursor)
        self._states = {one.url: had.get(one.url, _State()) for one in collections}
        self._done = 0

    def steps(self) -> Iterator[Step]:
        for collection in self._collections:
            for step in self._collected(collection):
                yield step
                self._client.rested()

    def _collected(self, collection: Collection) -> Iterator[Step]:
        while True:
            state = self._states[collection.url]
            if state.after is None and state.until and state.until == _until_now(collection):
                return
            try:
                page = self._page(collection, state)
            except Refusal as refusal:
                collection = self._other_way(collection, state, refusal)
                continue
            if state.after is not None and page.truncated and page.until != state.following:
                # Another part than the one that was begun: what was skipped may be new in it.
                self._set(collection, replace(state, following=None, after=None))
                continue
            yield from self._read(collection, state, page)
            if page.truncated and not page.more and page.until in (None, state.until):
                raise OSError(f"{collection.url} gives the same part of its changes again")
            if not page.more and not page.truncated:
                return

    def _other_way(self, collection: Collection, state: _State, refusal: Refusal) -> Collection:
        """How to ask a server that refuses to list changes: anew, or for everything."""
        if collection.token is not None and _token_of(state) and refusal.status in _STALE:
            self._set(collection, _State())
            return collection
        if collection.token is not None and refusal.status in _UNABLE:
            return collection._replace(token=None)
        raise refusal

    def _read(self, collection: Collection, state: _State, page: _Page) -> Iterator[Step]:
        """The items of a page, in steps of one question each."""
        until = state.following if state.after is not None else page.until
        ended = _State(until)
        if not page.items:
            if page.bad or self._states[collection.url] != ended:
                self._set(collection, ended)
                yield self._step([], {}, page.bad)
            return
        bad = page.bad
        batches = list(_batches(page.items))
        for number, batch in enumerate(batches, 1):
            following = _State(state.until, until, batch[-1].href)
            is_last = number == len(batches) and not page.more
            yield from self._batch(collection, batch, ended if is_last else following, bad)
            bad = ()

    def _batch(
        self, collection: Collection, batch: Sequence[_Item], then: _State, bad: Sequence[Bad]
    ) -> Iterator[Step]:
        """then: the state when all of it is read. Items come in any order, so until then the cursor
        stays."""
        records, raws, bads, size = list[AnyRecord](), dict[str, bytes](), list(bad), 0
        missing = {_same(_path(item.href)): item.href for item in batch}
        for response in self._got(collection, batch):
            missing.pop(_same(_path(response.href)), None)
            read, length = self._item(response)
            records += read.records
            raws.update(read.raws)
            bads += read.bad
            size += length
            self._done += length
            if size >= STEP_BYTES:
                yield self._step(records, raws, bads)
                records, raws, bads, size = [], {}, [], 0
        bads += [Bad(href, "it is listed, and not given", b"", 0) for href in missing.values()]
        self._set(collection, then)
        yield self._step(records, raws, bads)

    def _item(self, response: Response) -> tuple[Read, int]:
        """What the server gives as one item; nothing, of one that was deleted meanwhile."""
        text = response.text(self._kind.tag(self._kind.data))
        path = _path(response.href)[:_HREF]
        if text is None or response.cut or response.status != 200:
            if response.status in (404, 410):
                return Read(), 0
            data = (text or "").encode()
            reason = f"more than {OBJECT_LIMIT >> 20} MiB" if response.cut else "it is not given"
            if response.status != 200:
                reason = f"the server answers with status {response.status}"
            return Read(bad=[Bad(path, reason, data[:_SHOWN], len(data))]), len(data)
        data = f"{text}\n".encode()
        changed = parse_date(response.text(f"{DAV}getlastmodified") or "")
        keeping = Keeping(
            source=self._kind.name,
            where=path,
            profile=self._asked.profile,
            changed=changed[0] if changed else None,
            seen=self._asked.now,
            place=f"{self._asked.collector}:{path}",
        )
        return self._kind.read(data, keeping), len(data)

    def _step(
        self, records: Sequence[AnyRecord], raws: Mapping[str, bytes], bad: Sequence[Bad]
    ) -> Step:
        cursor = msgspec.json.encode(self._states).decode()
        return Step(cursor, self._done, records, raws, bad)

    def _set(self, collection: Collection, state: _State) -> None:
        self._states[collection.url] = state

    # Questions

    def _page(self, collection: Collection, state: _State) -> _Page:
        by_token = collection.token is not None
        if by_token:
            answer = self._ask("REPORT", collection, _sync(_token_of(state)), "0")
        else:
            answer = self._ask("PROPFIND", collection, _LISTING, "1")
        listing = _Listing(collection, state.after)
        for response in answer:
            listing.add(response)
        if listing.gone:
            _log.info("%d items of %s are gone there, and stay here", listing.gone, collection.url)
        until = _marked("s", answer.sync_token) if by_token else _marked("c", collection.ctag)
        return listing.page(until)

    def _got(self, collection: Collection, batch: Sequence[_Item]) -> Iterator[Response]:
        kind = self._kind
        hrefs = "".join(f"<d:href>{html.escape(item.href)}</d:href>" for item in batch)
        body = (
            f'<x:{kind.multiget} xmlns:d="DAV:" xmlns:x="{kind.namespace}"><d:prop>'
            f"<d:getlastmodified/><x:{kind.data}/></d:prop>{hrefs}</x:{kind.multiget}>"
        )
        yield from self._ask("REPORT", collection, body, "1")

    def _ask(self, method: str, collection: Collection, body: str, depth: str) -> Answer:
        return self._client.ask(method, collection.url, body, depth)


class _Listing:
    """The first `LISTED` hrefs after one, of any number that come in any order."""

    def __init__(self, collection: Collection, after: str | None) -> None:
        self._own = _same(_path(collection.url))
        self._after = after
        self._items: dict[str, int] = {}
        self._more = False
        self._truncated = False
        self._bad: list[Bad] = []
        self.gone = 0

    def add(self, response: Response) -> None:
        href, status = response.href, response.status
        if status == 507:
            self._truncated = True
        elif status in (404, 410):
            self.gone += 1
        elif _same(_path(href)) == self._own or href.endswith("/"):
            return
        elif len(href) > _HREF:
            self._add_bad(href)
        elif self._after is None or href > self._after:
            self._items[href] = _size(response)
            if len(self._items) >= 2 * LISTED:
                self._cut()

    def _add_bad(self, href: str) -> None:
        if self._after is None and len(self._bad) < BATCH:
            reason = "its name is longer than any that can be kept"
            self._bad.append(Bad(href[:_HREF], reason, href.encode(), len(href)))

    def _cut(self) -> None:
        if len(self._items) > LISTED:
            self._items = dict(sorted(self._items.items())[:LISTED])
            self._more = True

    def page(self, until: str | None) -> _Page:
        self._cut()
        items = [_Item(*item) for item in sorted(self._items.items())]
        return _Page(items, until, self._more, self._truncated, self._bad)


def _states(cursor: str | None) -> Mapping[str, _State]:
    """Nothing of a cursor that is none of ours: all is read anew."""
    try:
        return _cursor.decode(cursor) if cursor else {}
    except msgspec.DecodeError:
        return {}


def _until_now(collection: Collection) -> str | None:
    if collection.token is not None:
        return _marked("s", collection.token)
    return _marked("c", collection.ctag)


def _kept(text: str | None) -> str | None:
    """No more of it than shows that it is too long."""
    return text[: _TOKEN + 1] if text is not None else None


def _marked(mark: str, text: str | None) -> str | None:
    """None too for what is too long to be kept: then all is read each time."""
    return f"{mark}{text}" if text and len(text) <= _TOKEN else None


def _token_of(state: _State) -> str:
    return state.until[1:] if state.until and state.until[0] == "s" else ""


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Of `BATCH` items, and about `STEP_BYTES` as far as their sizes are known."""
    begun, size = 0, 0
    for number, item in enumerate(items):
        if number > begun and (number - begun == BATCH or size + item.size > STEP_BYTES):
            yield items[begun:number]
            begun, size = number, 0
        size += item.size
    yield items[begun:]


def _size(response: Response) -> int:
    text = response.text(f"{DAV}getcontentlength") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else _USUAL_SIZE


def _path(href: str) -> str:
    try:
        return urlsplit(href).path
    except ValueError:
        return href


def _propfind(kind: Kind, *names: str) -> str:
    own = "".join(f"<d:{name}/>" for name in names)
    return (
        f'<d:propfind xmlns:d="DAV:" xmlns:x="{kind.namespace}" '
        f'xmlns:s="http://calendarserver.org/ns/"><d:prop>{own}<s:getctag/>'
        f"<x:{kind.home}/><x:supported-calendar-component-set/></d:prop></d:propfind>"
    )


_LISTING = (
    '<d:propfind xmlns:d="DAV:"><d:prop><d:getetag/><d:getcontentlength/></d:prop></d:propfind>'
)


def _sync(token: str) -> str:
    return (
        f'<d:sync-collection xmlns:d="DAV:"><d:sync-token>{html.escape(token)}</d:sync-token>'
        "<d:sync-level>1</d:sync-level>"
        "<d:prop><d:getetag/><d:getcontentlength/></d:prop></d:sync-collection>"
    )
