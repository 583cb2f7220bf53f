"""Items of JSON texts: whatever the text, in windows, on from any cursor, at bounded cost."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.model.records import Event
from shared.model.steps import Bad, Content, Step
from shared.model.time import EPOCH
from shared.sources import json_items
from shared.sources.json_items import Found, Lists, Run, outline, read_each, steps
from tests.reading import Bytes

VALUES = msgspec.json.Decoder(list[Any])
LISTS: Lists = {("items",): VALUES, ("more",): VALUES, ("chats", "list", ..., "messages"): VALUES}


@pytest.fixture(params=[300, 1000, json_items.WINDOW])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small windows, so that small texts show what happens at their edges."""
    monkeypatch.setattr(json_items, "WINDOW", request.param)


def convert(run: Run) -> Found:
    def read(value: Any, where: str, found: Found) -> None:
        said = {"where": where, "value": value}
        record = Event(id=where, type="test", time=EPOCH, source="t", source_version=1, extra=said)
        found.records.append(record)

    return read_each(run, read)


def steps_in(content: Content, lists: Lists = LISTS, cursor: str | None = None) -> Iterator[Step]:
    """Steps, in each of which the reader begins anew from a cursor."""
    while True:
        step = next(steps(content, cursor, lists, convert), None)
        if step is None:
            return
        yield step
        cursor = step.cursor


def read(text: bytes, lists: Lists = LISTS) -> tuple[list[tuple[str, Any]], list[Bad]]:
    """The values with their places, and what is bad; both ways of reading must agree."""
    at_once = list(steps(Bytes(text), None, lists, convert))
    again = list(steps_in(Bytes(text), lists))
    assert at_once == again
    done = [step.done for step in at_once]
    assert done == sorted(done)
    assert done[-1] == len(text)
    assert all(len(step.records) + len(step.bad) <= 1000 for step in at_once)
    values = [
        (record.extra["where"], record.extra["value"])
        for step in at_once
        for record in step.records
    ]
    return values, [bad for step in at_once for bad in step.bad]


TEXTS = ['},\n  {"a":', '"},{"a":1', "\\", '"', "]", "[{", "]}, ", "ä😀\0", ""]
SCALARS = [None, True, False, 0, -1, 12, 2**64 - 1, 1.5e-7, *TEXTS]
JSON = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", '"', "\\", "},"]), inner, max_size=3)
    ),
    max_leaves=6,
)
ITEMS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", '},{"a":']), JSON, max_size=3) | JSON, max_size=6
)
LAYOUTS = st.sampled_from(
    [
        {"indent": 2},
        {"indent": None, "separators": (",", ":")},
        {"indent": None},
        {"indent": "\t", "ensure_ascii": False},
    ]
)


def written(value: Any, layout: dict[str, Any]) -> bytes:
    return json.dumps(value, **layout).encode()


@given(
    ITEMS, ITEMS, JSON, st.permutations(["items", "more", "other"]), LAYOUTS, st.integers(8, 200)
)
def test_any_text_gives_its_values(
    items: list[Any],
    more: list[Any],
    other: Any,
    order: list[str],
    layout: dict[str, Any],
    window: int,
) -> None:
    members = {"items": items, "more": more, "other": other}
    text = written({name: members[name] for name in order}, layout)
    expected: list[tuple[str, Any]] = []
    for name in order:
        if name == "other":
            expected.append(("other", other))
        else:
            expected += [(f"{name}[{n}]", value) for n, value in enumerate(members[name])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_items, "WINDOW", window)
        values, bad = read(text)
    assert (values, bad) == (expected, [])


@given(ITEMS, LAYOUTS, st.integers(8, 200))
def test_a_bare_list(items: list[Any], layout: dict[str, Any], window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_items, "WINDOW", window)
        values, bad = read(b"\xef\xbb\xbf \n" + written(items, layout), {(): VALUES})
    assert (values, bad) == ([(f"[{n}]", value) for n, value in enumerate(items)], [])


def test_lists_deep_inside() -> None:
    chats = {
        "about": "x",
        "list": [{"id": 1, "messages": [{"m": 1}, {"m": 2}]}, 5, {"messages": []}],
    }
    text = written({"chats": chats, "left": {"chats": []}}, {"indent": 1})
    values, bad = read(text)
    assert not bad
    assert values == [
        ("chats.about", "x"),
        ("chats.list[0].id", 1),
        ("chats.list[0].messages[0]", {"m": 1}),
        ("chats.list[0].messages[1]", {"m": 2}),
        ("chats.list[1]", 5),
        ("left", {"chats": []}),
    ]


GOOD = [{"a": n, "text": "x" * 20, "in": [{"a": 1}, {"a": 2}]} for n in range(30)]
BROKEN = [
    b'{"a": nope}',
    b'{"a" 1}',
    b'{"a": 1',
    b'{"a": 1]',
    b'{"a": 1}}',
    b'{"a": 1}]',
    b'{"a": [1, 2}',
    b'{"a": {"b": 1}',
    b'{"a": "open}',
    b'{"a": "open, "in": [{"b": 1}, {"b": 2}]}',
    b'{"a": 1, \x00 "b": 2}',
    b"\xff\xfe",
    b"nope",
]


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize("layout", [{"indent": 2}, {"separators": (",", ":")}], ids=str)
@pytest.mark.parametrize("broken", BROKEN, ids=repr)
@pytest.mark.parametrize("place", [0, 13, 29])
def test_a_broken_item_costs_no_other(broken: bytes, place: int, layout: dict[str, Any]) -> None:
    items: list[Any] = [*GOOD[:place], "BROKEN", *GOOD[place:]]
    if "indent" in layout:
        broken = broken.replace(b'{"a"', b'{\n      "a"', 1)
    text = written({"items": items, "more": [1]}, layout).replace(b'"BROKEN"', broken)
    values, bad = read(text)
    assert [value for _, value in values] == [*GOOD, 1]
    assert b",".join(item.data for item in bad) == broken


def test_a_broken_item_that_looks_like_several_costs_no_other() -> None:
    broken = b'{"a":"open,"in":[{"a":1},{"a":2}]}'
    text = written({"items": ["BROKEN", *GOOD, "BROKEN"]}, {"separators": (",", ":")})
    values, bad = read(text.replace(b'"BROKEN"', broken))
    assert [value for _, value in values if value in GOOD] == GOOD
    assert bad


def test_a_cut_text_loses_only_what_was_cut() -> None:
    text = written({"items": GOOD[:4], "more": [1, "x", {}]}, {"indent": 1})
    whole, _ = read(text)
    for length in range(len(text)):
        values, bad = read(text[:length])
        assert len(bad) == 1, text[:length]
        assert values == whole[: len(values)]
        ended = [n for n in range(len(whole)) if text[:length].count(b'"text"') > n + 1]
        assert len(values) >= len(ended)


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "nothing in the file"),
        (b" \n", "nothing in the file"),
        (b"\xef\xbb\xbf", "nothing in the file"),
        (b'{"items": [1], nope', "no member"),
        (b'{"items": [1]} []', "has ended"),
        (b'{"items": [1]}\0\0\0', "has ended"),
        (b"[" * 5000, "cut"),
        (b'{"items": [' + b"[" * 5000 + b"]" * 5000 + b"]}", "too deeply"),
        (b'{"items": [{"a": "' + b"x" * 5000, "cut"),
    ],
    ids=range(9),
)
def test_what_cannot_be_read_is_bad(text: bytes, reason: str) -> None:
    bad = read(text)[1]
    assert len(bad) == 1
    assert reason in bad[0].reason


@pytest.mark.parametrize("inside", [b'"' + b'\\"' * 200 + b'"', b"[" * 150 + b"]" * 150])
@pytest.mark.parametrize("path", ["items", "other"])
def test_what_is_too_large_is_bad(
    monkeypatch: pytest.MonkeyPatch, inside: bytes, path: str
) -> None:
    monkeypatch.setattr(json_items, "WINDOW", 64)
    monkeypatch.setattr(json_items, "ITEM_LIMIT", 128)
    monkeypatch.setattr(json_items, "_KEPT", 10)
    value = b"[1, %b, 2]" % inside if path == "items" else inside
    values, bad = read(b'{"%b": %b, "more": [3]}' % (path.encode(), value))
    assert values[-1] == ("more[0]", 3)
    assert len(values) == (3 if path == "items" else 1)
    assert [(b.where, b.data, b.size) for b in bad] == [
        ("items[1]" if path == "items" else "other", inside[:10], len(inside))
    ]


def test_many_bad_items_of_a_window_are_told_together() -> None:
    text = b'{"items": [1, %b 2]}' % (b"nope," * 3000)
    values, bad = read(text)
    assert [where for where, _ in values] == ["items[0]", "items[3001]"]
    assert len(bad) == 100
    assert bad[-1].where == "items[100] to items[3000]"
    assert bad[-1].data == b",".join([b"nope"] * 2901)


def test_reading_on_costs_nothing_for_being_far() -> None:
    text = b'{"items": [' + b",".join(b'{"a": %d}' % n for n in range(200_000)) + b"]}"
    read_on = [step.cursor for step in steps(Bytes(text), None, LISTS, convert)]
    for cursor in read_on[10::500]:
        content = Bytes(text)
        next(steps(content, cursor, LISTS, convert))
        assert sum(size for _, size in content.reads) <= json_items.WINDOW


def test_what_is_read_at_once_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = Bytes(b'{"other": "' + b"x" * 5_000_000 + b'", "items": [' + b"[" * 5_000_000)
    reads = list(steps(content, None, LISTS, convert))
    assert max(size for _, size in content.reads) <= json_items.ITEM_LIMIT
    assert [bad.where for step in reads for bad in step.bad] == ["other", "items[0]"]


@settings(max_examples=300)
@given(
    st.binary(max_size=300)
    | st.lists(
        st.sampled_from(
            [*(bytes([c]) for c in b'{}[],:"\\ \n1t'), b'"items":', b'{"a":1}', b"\xef\xbb\xbf"]
        ),
        max_size=60,
    ).map(b"".join),
    st.integers(8, 80),
)
def test_garbage_never_raises(text: bytes, window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_items, "WINDOW", window)
        patch.setattr(json_items, "ITEM_LIMIT", window + 20)
        read(text, LISTS)
        read(text, {(): VALUES, **LISTS})


@pytest.mark.parametrize(
    ("head", "is_list", "members"),
    [
        (b'{"a": [{"b": {"c": 1}}], "d": 2', False, {"a": {"b", "c"}, "d": set()}),
        (b'\xef\xbb\xbf [ {"b": {"c": "\\"x\\":"', True, {"": {"b", "c"}}),
        (b'{"a": "b: c", "d', False, {"a": set()}),
        (b"[]", True, {}),
    ],
)
def test_an_outline_shows_the_names(
    head: bytes, is_list: bool, members: dict[str, set[str]]
) -> None:
    assert outline(head) == (is_list, members)


@pytest.mark.parametrize("head", [b"", b"\x00", b"text {", b'"{', b"7"])
def test_what_begins_no_json_has_no_outline(head: bytes) -> None:
    assert outline(head) is None


@pytest.mark.parametrize("item", [b'{"a": 1, "b": "x"', b'{"a": 1, "b": "x}', b'{"a": [1, "b": 2}'])
def test_reading_a_damaged_text_takes_no_longer_than_its_length(item: bytes) -> None:
    text = b'{"items": [' + b",".join([item] * 40_000) + b"]}"
    content = Bytes(text)
    bad = [bad for step in steps(content, None, LISTS, convert) for bad in step.bad]
    assert b",".join(item.data for item in bad).startswith(text[11:-4_000])
    assert sum(size for _, size in content.reads) < 4 * len(text)
