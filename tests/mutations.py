"""Random damage: to bytes, and to the values of a custom op's options."""

import numpy as np
from flatbuffers import flexbuffers

EXTREMES = (0, 1, 2, 127, 128, 254, 255)
NUMBERS = (-(2**31), -129, -1, 0, 1, 2, 3, 7, 64, 127, 1000, 2**16, 2**30, 2**31 - 1)


def damaged_bytes(data: bytes, random: np.random.Generator) -> bytes:
    """One to four bits flipped, bytes set, pieces removed or copied over others."""
    content = bytearray(data)
    for _ in range(random.integers(1, 5)):
        place = int(random.integers(0, max(len(content), 1)))
        length = int(random.integers(1, 9))
        kind = random.integers(0, 5)
        if kind == 0 and content:
            content[place] ^= 1 << int(random.integers(0, 8))
        elif kind == 1 and content:
            content[place] = int(random.choice(EXTREMES))
        elif kind == 2:
            content[place : place + length] = random.bytes(length)
        elif kind == 3:
            del content[place : place + length]
        else:
            source = int(random.integers(0, max(len(content), 1)))
            content[place : place + length] = content[source : source + length]
    return bytes(content)


def damaged_options(options: bytes, random: np.random.Generator) -> dict[str, int | list[int]]:
    """The options with one to three numbers changed, or a vector made longer or shorter."""
    values = flexbuffers.Loads(options)
    for _ in range(random.integers(1, 4)):
        key = str(random.choice([name for name in sorted(values) if name != "version"]))
        value = values[key]
        if isinstance(value, list) and value and random.integers(0, 8) > 0:
            value[int(random.integers(0, len(value)))] = _number(random)
        elif isinstance(value, list):
            values[key] = [_number(random) for _ in range(random.integers(0, 7))]
        else:
            values[key] = _number(random)
    return values


def _number(random: np.random.Generator) -> int:
    return int(random.choice(NUMBERS) if random.integers(0, 2) else random.integers(-2, 20))
