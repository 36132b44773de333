"""What the tests of packages share: contents of small nets, and what the examples print."""

import re
from pathlib import Path

import random_nets

from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.firmware import Samples
from tflm_reds.codegen.governor.files import SubnetCost, write_costs, write_governor
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.package.content import PackageContent
from tflm_reds.codegen.package.forms import standalone_content, tflm_content
from tflm_reds.codegen.writer import write_sources
from tflm_reds.quantized import QuantizedNet
from tflm_reds.tflite_io import write_reds_model

TESTS = Path(__file__).parent
ARDUINO = TESTS / "arduino"
TFLM_API = TESTS / "tflm_api"
ARENA_BYTES = 20 * 1024
LINE = re.compile(r"^subnet (\d+), sample (\d+): (.*), (\d+) us$", re.MULTILINE)


def samples_of(net: QuantizedNet, count: int = 2) -> Samples:
    """Random inputs with the reference's outputs."""
    return Samples.from_net(net, random_nets.random_inputs(net, count, 5))


def governor(net: QuantizedNet, folder: Path) -> list[Path]:
    """The governor's files and costs that triple from subnet to subnet."""
    costs = [SubnetCost(k, 1000 * 3**k, 100 * 3**k) for k in range(net.subnet_count)]
    model = write_costs(net.name, load_board("nano33ble"), costs, 0, folder)
    return [*write_governor(folder), *model]


def standalone(net: QuantizedNet, folder: Path) -> PackageContent:
    """The form that needs nothing; its sources are first written into `folder`."""
    sources = [*write_sources(lower(net), folder), *governor(net, folder)]
    return standalone_content(net, samples_of(net), sources)


def for_tflm(net: QuantizedNet, folder: Path) -> PackageContent:
    """The form for TFLM, with an arena that was not measured."""
    model = write_reds_model(net, folder / "model.tflite").read_bytes()
    return tflm_content(net, samples_of(net), model, ARENA_BYTES, governor(net, folder))


def expected_lines(content: PackageContent, subnets) -> list[tuple[int, int, str]]:
    """(subnet, sample, label) that the example prints when it runs `subnets` one after another."""
    classes = content.samples.outputs.argmax(axis=2)
    labels = content.net.labels
    return [
        (k, i, labels[classes[k, i]] if labels else f"class {classes[k, i]}")
        for k in subnets
        for i in range(classes.shape[1])
    ]


def printed_lines(text: str) -> list[tuple[int, int, str]]:
    """(subnet, sample, label) of each line that an example printed."""
    return [(int(k), int(i), label) for k, i, label, _ in LINE.findall(text)]


def times(text: str) -> list[int]:
    """Microseconds of each line."""
    return [int(line[3]) for line in LINE.findall(text)]


def sketch_main(library, serial, folder):
    """A file that makes the library's sketch a program."""
    sketch = library / "examples" / "Classify" / "Classify.ino"
    main = folder / "main.cpp"
    main.write_text(f'#include "{ARDUINO / serial}"\n#include "{sketch}"\n')
    return main
