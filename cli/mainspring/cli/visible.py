"""Text from elsewhere on its way to a terminal. PURE."""


def visible(text: str) -> str:
    """The text with control characters and the like written as escapes: data must not steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
