"""Writes the example traces beside this file: what a keyword spotter may spend over a minute.

    python examples/governor/make_traces.py

busy.csv: five requests a second share the processor with a radio and a display. Each must be ready
before the next burst of their work, so the deadline follows the load, which drifts, and falls to a
fraction during bursts. harvest.csv: a solar cell behind passing clouds; what an inference may take
follows the light, and the battery fills and empties with it. Both are synthetic.
"""

import math
import random
from pathlib import Path

from tflm_reds.traces import Request, save_trace

FOLDER = Path(__file__).parent
REQUESTS, PER_SECOND = 300, 5


def busy(seed: int = 0) -> list[Request]:
    """Deadlines of 22 to 88 ms."""
    generator, load, burst, trace = random.Random(seed), 0.4, 0, []
    for i in range(REQUESTS):
        load = min(max(load + generator.gauss(0, 0.04), 0.05), 0.75)
        if burst == 0 and generator.random() < 0.04:
            burst = generator.randint(3, 12)
        share = 0.25 if burst else 1 - load
        burst = max(burst - 1, 0)
        deadline = 90_000 * share * generator.uniform(0.97, 1.03)
        trace.append(Request(i / PER_SECOND, deadline_us=round(deadline)))
    return trace


def harvest(seed: int = 0) -> list[Request]:
    """Energy budgets of 0.45 to 2.2 mJ and a battery between empty and full."""
    generator, level, trace = random.Random(seed), 250.0, []
    for i in range(REQUESTS):
        light = 0.5 + 0.4 * math.sin(2 * math.pi * i / REQUESTS) + 0.1 * math.sin(i / 7)
        light = min(max(light + generator.gauss(0, 0.02), 0.0), 1.0)
        level = min(max(level + 12 * (light - 0.5), 0.0), 1000.0)
        budget = round(450 + 1750 * light)
        trace.append(Request(i / PER_SECOND, energy_uj=budget, battery_permille=round(level)))
    return trace


if __name__ == "__main__":
    for make in (busy, harvest):
        print(save_trace(make(), FOLDER / f"{make.__name__}.csv"))
