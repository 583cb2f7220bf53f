"""HTML as the text that a person reads: for search and lists, not for showing a page.

Made of substitutions that each pass over the text once, whatever it is: `html.parser` takes a
hundred times as long for a mail, and the square of its length for some.
"""

import html
import re

# What is never closed goes to the end: the search for its end must not begin again and again.
_HIDDEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|title|template)\b.*?(?:</\1[^<>]*>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_BREAK = re.compile(
    r"<(?:br|hr|/?(?:p|div|tr|li|ul|ol|dl|dt|dd|table|pre|blockquote|section|article|h[1-6]))"
    r"(?:[\s/][^<>]*)?>",
    re.IGNORECASE,
)
_CELL = re.compile(r"</t[dh]\s*>", re.IGNORECASE)
_TAG = re.compile(r"<[/!?]?[a-zA-Z\[][^<>]*>")


def readable(markup: str) -> str:
    """Its text: a line for each block, a space for other white space, without what is hidden."""
    visible = _HIDDEN.sub(" ", " ".join(markup.split()))
    lines = _TAG.sub("", _CELL.sub(" ", _BREAK.sub("\n", visible)))
    texts = (" ".join(line.split()) for line in html.unescape(lines).split("\n"))
    return "\n".join(filter(None, texts))
