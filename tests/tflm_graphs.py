"""Runs .tflite files with our custom ops on any machine of machines.py, in a TFLM of our own."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tflite

from tflm_reds.codegen.tflm.library import DECLARATIONS, INCLUDE, op_sources
from tflm_reds.quantized import QuantizedNet
from tflm_reds.tflite_io import write_reds_model

FOLDER = Path(__file__).parent / "tflm_context"
# No graph here has stock ops with weights, and their tables need double arithmetic, which zig links
# from a library that we do not build.
OPS = [source for source in op_sources() if not source.name.startswith("reds_stock")]
SOURCES = (*OPS, *sorted(FOLDER.glob("*.cpp")))
INCLUDES = (*INCLUDE, DECLARATIONS, FOLDER)
FLAGS = ("-DREDS_TFLM_ABI=1", "-DTF_LITE_STATIC_MEMORY")
FLAGS_2 = ("-DREDS_TFLM_ABI=2",)  # of the second generation
STATE_MAGIC = 0x52454453
ARENA_BYTES = 1 << 16
GARBAGE = 0xA5
BUILTINS = {v: k for k, v in vars(tflite.BuiltinOperator).items() if not k.startswith("_")}


@dataclass(frozen=True)
class GraphTensor:
    """`data` is None for an activation."""

    name: str
    shape: tuple[int, ...]
    type: int
    scale: float
    zero_point: int
    data: bytes | None

    @property
    def bytes(self) -> int:
        width = 4 if self.type == tflite.TensorType.INT32 else 1
        return width * int(np.prod(self.shape))


@dataclass(frozen=True)
class GraphNode:
    op: str
    options: bytes
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """What TFLM reads from a .tflite file of one subgraph."""

    tensors: tuple[GraphTensor, ...]
    nodes: tuple[GraphNode, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @classmethod
    def of_net(cls, net: QuantizedNet, folder: Path) -> "Graph":
        return cls.load(write_reds_model(net, folder / "reds.tflite"))

    @classmethod
    def load(cls, path: Path) -> "Graph":
        model = tflite.Model.GetRootAs(path.read_bytes())
        subgraph = model.Subgraphs(0)
        tensors = [_tensor(model, subgraph.Tensors(i)) for i in range(subgraph.TensorsLength())]
        nodes = [_node(model, subgraph.Operators(i)) for i in range(subgraph.OperatorsLength())]
        inputs, outputs = subgraph.InputsAsNumpy(), subgraph.OutputsAsNumpy()
        return cls(tuple(tensors), tuple(nodes), tuple(map(int, inputs)), tuple(map(int, outputs)))


def _tensor(model, tensor) -> GraphTensor:
    quantization = tensor.Quantization()
    has_scale = quantization is not None and quantization.ScaleLength() > 0
    buffer = model.Buffers(tensor.Buffer())
    return GraphTensor(
        tensor.Name().decode(),
        tuple(map(int, tensor.ShapeAsNumpy())),
        tensor.Type(),
        float(quantization.Scale(0)) if has_scale else 0.0,
        int(quantization.ZeroPoint(0)) if has_scale else 0,
        buffer.DataAsNumpy().tobytes() if buffer.DataLength() else None,
    )


def _node(model, operator) -> GraphNode:
    code = model.OperatorCodes(operator.OpcodeIndex())
    is_custom = code.CustomCode() is not None
    return GraphNode(
        code.CustomCode().decode() if is_custom else BUILTINS[code.BuiltinCode()],
        operator.CustomOptionsAsNumpy().tobytes() if is_custom else b"",
        tuple(map(int, operator.InputsAsNumpy())),
        tuple(map(int, operator.OutputsAsNumpy())),
    )


class Session:
    """One graph in a context of its own on `machine`; raises AssertionError if an op fails.

    Args:
        external: with a reds_tflm_state as external context, else with the default one.
    """

    def __init__(self, machine, graph: Graph, external: bool = True) -> None:
        self.machine, self.graph = machine, graph
        pointer = machine.pointer
        self.state = self._place(f"Iiii{pointer}", STATE_MAGIC, 0, 0, 0, 0, constant=False)
        self._tensors = [self._place_tensor(tensor) for tensor in graph.tensors]
        tensors = self._table(f"{pointer}{pointer}iifi", self._tensors)
        nodes = self._table(f"{pointer * 4}{pointer}", map(self._place_node, graph.nodes))
        arena = machine.place(bytes([GARBAGE]) * ARENA_BYTES)
        counts = (ARENA_BYTES, len(graph.tensors), len(graph.nodes))
        pointers = (tensors, nodes, arena, self.state if external else 0)
        self.placed = self._place(f"{pointer * 5}ii", *pointers, *counts)
        self.context = machine.place(bytes(machine.call("context_bytes")))

    def prepare(self) -> int:
        """0, or 1 + the node that failed."""
        return self.machine.call("context_prepare", self.context, self.placed)

    def set_subnet(self, subnet: int) -> int:
        return self.machine.call("reds_tflm_state_set_subnet", self.state, subnet)

    @property
    def active(self) -> int:
        """The subnet that made the last output."""
        return struct.unpack("<i", self.machine.read(self.state + 12, 4))[0]

    def run(self, x: np.ndarray) -> np.ndarray:
        """The output, int8 [*output shape], of one input, int8 [*input shape]."""
        self.machine.write(self.address(self.graph.inputs[0]), x.tobytes())
        assert self.machine.call("context_invoke", self.context) == 0
        return self.output()

    def output(self) -> np.ndarray:
        index = self.graph.outputs[0]
        tensor = self.graph.tensors[index]
        raw = self.machine.read(self.address(index), tensor.bytes)
        return np.frombuffer(raw, np.int8).reshape(tensor.shape[1:])

    def is_intact(self) -> bool:
        return self.machine.call("context_is_intact", self.context) == 1

    def end(self) -> None:
        self.machine.call("context_end", self.context)

    def address(self, tensor: int) -> int:
        return self._tensors[tensor][0]

    def _place_tensor(self, tensor: GraphTensor) -> tuple:
        is_constant = tensor.data is not None
        data = tensor.data if is_constant else bytes([GARBAGE]) * tensor.bytes
        address = self.machine.place(data, constant=is_constant)
        quantization = (tensor.scale, tensor.zero_point)
        return address, self._int_array(tensor.shape), tensor.type, tensor.bytes, *quantization

    def _place_node(self, node: GraphNode) -> tuple:
        name = self.machine.place(node.op.encode() + b"\0", constant=True)
        options = self.machine.place(node.options, constant=True)
        arrays = (self._int_array(node.inputs), self._int_array(node.outputs))
        return name, options, *arrays, len(node.options)

    def _int_array(self, values: tuple[int, ...]) -> int:
        return self._place(f"{len(values) + 1}i", len(values), *values)

    def _table(self, form: str, rows) -> int:
        data = b"".join(struct.pack(f"<{form}", *row) for row in rows)
        return self.machine.place(data, constant=True)

    def _place(self, form: str, *values, constant: bool = True) -> int:
        return self.machine.place(struct.pack(f"<{form}", *values), constant=constant)


def differing_bytes(session: Session, net: QuantizedNet, x: np.ndarray, seed: int = 0) -> int:
    """Of all outputs of the inputs `x`, the subnet switched at random before each."""
    subnets = np.random.default_rng(seed).integers(0, net.subnet_count, len(x))
    count = 0
    for sample, subnet in zip(x, subnets, strict=True):
        assert session.set_subnet(int(subnet)) == 0
        found = session.run(sample)
        assert session.active == subnet
        count += np.count_nonzero(found != net.run(sample[np.newaxis], int(subnet))[0])
    return count
