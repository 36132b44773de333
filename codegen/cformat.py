"""Python values as C text: identifiers, arrays, strings. Pure functions."""

import re
from collections.abc import Iterable

import numpy as np

LINE_LENGTH = 100
# Names that would clash with the runtime's own types and functions.
RESERVED = {"reds"}


def identifier(name: str, prefix: str = "layer") -> str:
    """A C identifier made from any text.

    >>> identifier("block_1/conv 3x3"), identifier("2d"), identifier("reds", "model")
    ('block_1_conv_3x3', 'layer_2d', 'model_reds')
    """
    text = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")
    if not text or text[0].isdigit() or text in RESERVED:
        text = f"{prefix}_{text}".rstrip("_")
    return text


def unique_identifiers(names: Iterable[str]) -> dict[str, str]:
    """An identifier for each name; names that become equal get a number.

    >>> unique_identifiers(["a/b", "a.b", "c"])
    {'a/b': 'a_b', 'a.b': 'a_b_2', 'c': 'c'}
    """
    result: dict[str, str] = {}
    used: set[str] = set()
    for name in names:
        base = candidate = identifier(name)
        number = 2
        while candidate in used:
            candidate = f"{base}_{number}"
            number += 1
        used.add(candidate)
        result[name] = candidate
    return result


def array(values: np.ndarray | Iterable[int], indent: int = 4) -> str:
    """Comma-separated integers, wrapped and indented, for between the braces.

    >>> array([1, -2])
    '    1, -2'
    """
    lines, line = [], ""
    for value in np.asarray(values).ravel().tolist():
        item = f"{value}, "
        if len(line) + len(item) > LINE_LENGTH - indent:
            lines.append(line)
            line = ""
        line += item
    lines.append(line)
    text = "\n".join(" " * indent + line.rstrip() for line in lines)
    return text.removesuffix(",")


def string(text: str) -> str:
    r"""A C string literal; bytes beyond ASCII become octal escapes of their UTF-8.

    >>> print(string('say "é?"'))
    "say \"\303\251\?\""
    """
    escaped = []
    for byte in text.encode():
        character = chr(byte)
        if character in '"\\?':  # "?" because of trigraphs
            escaped.append("\\" + character)
        elif 32 <= byte < 127:
            escaped.append(character)
        else:
            escaped.append(f"\\{byte:03o}")
    return f'"{"".join(escaped)}"'


def comment(text: str) -> str:
    """Text that is safe inside a C comment."""
    plain = text.encode("ascii", "replace").decode()
    return " ".join(plain.replace("*/", "* /").replace("/*", "/ *").split())


def float_literal(value: float) -> str:
    """A float constant that reads back as the same float32.

    >>> float_literal(0.05), float_literal(1.0)
    ('0.0500000007f', '1.0f')
    """
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if re.search(r"[.e]", text) else f"{text}.0f"
