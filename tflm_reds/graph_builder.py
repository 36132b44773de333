"""GraphBuilder: a LayerGraph and its weights while they are being read."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import keras
import numpy as np

from tflm_reds.channels import Part, released, substitute, unify
from tflm_reds.errors import ModelError
from tflm_reds.graph import LayerGraph, Node


def refuse(layer: keras.Operation, why: str) -> ModelError:
    """The error that names the layer and its type."""
    return ModelError(f"Layer {layer.name!r} ({type(layer).__name__}) {why}")


class GraphBuilder:
    """Appends nodes behind the inputs of the layer being read.

    Args:
        layer_names: of the whole model; nodes that are no layer of their own get other names.
    """

    def __init__(self, layer_names: Iterable[str] = ()) -> None:
        self.nodes: dict[str, Node] = {}
        self.weights: dict[str, np.ndarray] = {}
        self.shared: set[str] = set()
        self._layer_names = set(layer_names)
        self._tips: tuple[str, ...] = ()

    def start_layer(self, inputs: tuple[str, ...]) -> None:
        """The next node reads `inputs`; those after it, each other."""
        self._tips = inputs

    @property
    def inputs(self) -> list[Node]:
        """The nodes that the next node will read."""
        return [self.nodes[name] for name in self._tips]

    @property
    def last(self) -> Node:
        """The (first) node that the next node will read."""
        return self.nodes[self._tips[0]]

    def append(self, name: str, op: str, shape: Iterable[int], **attributes) -> None:
        """Append a node that keeps the channels of the last one unless told otherwise."""
        inherited = {}
        if self._tips:
            inherited = {"parts": self.last.parts, "positions": self.last.positions}
        self.nodes[name] = Node(name, op, self._tips, tuple(shape), **inherited | attributes)
        self._tips = (name,)

    def free_name(self, name: str) -> str:
        """`name`, or a longer one if a layer has that name."""
        while name in self._layer_names or name in self.nodes:
            name += "_"
        return name

    def store(self, name: str, **arrays: np.ndarray) -> None:
        """Keep the weights of node `name` by kind.

        Raises:
            ModelError: if one is not finite.
        """
        for kind, array in arrays.items():
            if not np.isfinite(array).all():
                raise ModelError(
                    f"Layer {name!r} has NaN or infinity in its {kind}. Train it again."
                )
            self.weights[f"{name}/{kind}"] = np.asarray(array, np.float32)

    def store_linear(self, name: str, kernel, bias) -> bool:
        """Keep a linear layer's weights; whether it has a bias (None: it has not)."""
        self.store(name, kernel=np.asarray(kernel))
        if bias is not None:
            self.store(name, bias=np.asarray(bias))
        return bias is not None

    def tie_inputs(self) -> None:
        """Give all the nodes that the next node reads the same parts (they are added)."""
        for other in self._tips[1:]:
            while (first := self.last.parts) != (second := self.nodes[other].parts):
                self._substitute(unify(first, second, list(self.build().groups)))

    def tie_blocks(self, group: str, blocks: Iterable[int]) -> None:
        """Make the inputs of the next node one group, with blocks of so many channels (heads)."""
        for node, block in zip(self.inputs, blocks, strict=True):
            self._substitute({node.group: Part(group, node.channels // block, block)})

    def release(self, name: str) -> None:
        """Never cut the channels of node `name`."""
        self._substitute(released(self.nodes[name].parts))

    def build(self) -> LayerGraph:
        """The graph as read so far."""
        return LayerGraph(tuple(self.nodes.values()))

    def _substitute(self, replacements: Mapping[str, Part]) -> None:
        for name, node in self.nodes.items():
            parts = substitute(node.parts, replacements)
            if parts != node.parts:
                self.nodes[name] = replace(node, parts=parts)
