"""NestedModel: K nested subnetworks that share one set of weights, trained by `model.fit`."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tflm_reds.errors import ModelError
from tflm_reds.fake_quantization import FakeQuantization
from tflm_reds.graph import LINEAR_OPS, NORM_OPS, LayerGraph, Node, Weights, slice_weights
from tflm_reds.keras_writer import (
    build_model,
    convolution_options,
    layer_weights,
    set_layer_weights,
    shared_axes,
    stock_layer,
    write_model,
)
from tflm_reds.nested_layers import (
    NestedAxis,
    NestedConv2D,
    NestedDense,
    NestedDepthwiseConv2D,
    NestedPositionEmbedding,
    NestedPReLU,
    subnet_scope,
)
from tflm_reds.nested_norms import NestedLayerNormalization, batch_norm_class
from tflm_reds.plan import Plan
from tflm_reds.score import is_classifier, resolve_loss


@keras.saving.register_keras_serializable("tflm_reds")
class NestedModel(keras.Model):
    """A Keras model whose outputs are those of all its subnets, smallest first.

    `compile` takes one loss and one list of metrics and applies them to every subnet; `fit` logs
    `accuracy_25`, `val_accuracy_25` and so on, named by budget; `predict` returns a list of K
    arrays. The joint loss is the weighted sum of the subnets' losses; callbacks only set the
    variables that it reads (`subnet_weights`, `distillation_alpha`, `temperature`).
    Fake quantisation alone is traced anew, so that training without it costs nothing.

    Args:
        graph: the full network with sorted units.
        plan: nested widths of the subnets.
        ranges: activation ranges of an earlier quantisation-aware training, by node.
        batch_norm: how much of the batch-norms the subnets share: "per_subnet" nothing,
            "shared_scale" all but mean and beta, "shared" everything, with the statistics of the
            full network; see `nested_norms`.

    Attributes:
        ranges: (lowest, highest) activation by node in the last `fit`, if it was
            quantisation-aware; `tflm_reds.quantize` uses them.
    """

    def __init__(
        self,
        graph: LayerGraph,
        plan: Plan,
        name: str = "nested",
        ranges: Mapping[str, Sequence[float]] | None = None,
        batch_norm: str = "per_subnet",
        **kwargs,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if plan.widths[-1] != graph.groups:
            raise ModelError(
                f"The plan is for groups {plan.widths[-1]}, the network has {graph.groups}. Plan "
                "the widths of this network: plan_widths(graph.groups, ...)."
            )
        self.graph = graph
        self.plan = plan
        self.batch_norm = batch_norm
        self.backbone = build_model(graph, self._nested_layer, f"{name}_backbone")
        self.subnet_weights = self._setting("subnet_weights", np.ones(self.subnet_count))
        self.distillation_alpha = self._setting("distillation_alpha", 0.0)
        self.temperature = self._setting("temperature", 1.0)
        self.ranges = ranges
        self._fake_quantization: FakeQuantization | None = None
        self.subnet_loss: keras.losses.Loss | None = None
        self.output_names = self.subnet_names
        self.built = True

    @classmethod
    def from_weights(
        cls,
        graph: LayerGraph,
        weights: Weights,
        plan: Plan,
        name: str = "nested",
        batch_norm: str = "per_subnet",
    ) -> "NestedModel":
        """A nested model that starts from the (sorted) weights of the full network."""
        model = cls(graph, plan, name, batch_norm=batch_norm)
        sliced = [slice_weights(graph, weights, widths) for widths in plan.widths]
        for node in graph.nodes:
            layer = model.backbone.get_layer(node.name)
            if node.op in NORM_OPS:
                kinds = [f"{node.name}/{kind}" for kind in node.weight_kinds]
                layer.set_subnet_weights([[own[kind] for kind in kinds] for own in sliced])
            else:
                set_layer_weights(layer, node, weights)
        return model

    @property
    def subnet_count(self) -> int:
        """K, the full network included."""
        return len(self.plan.budgets)

    @property
    def subnet_names(self) -> list[str]:
        """The budgets in percent, as they end the metrics' names: "25", "50", "75", "100"."""
        return [f"{100 * budget:g}" for budget in self.plan.budgets]

    def call(self, inputs, training=None):
        """Outputs of all subnets, smallest first: list of K tensors [n, ...]."""
        return [self.call_subnet(inputs, k, training) for k in range(self.subnet_count)]

    def call_subnet(self, inputs, subnet: int, training=None):
        """Output of one subnet, traced with its static shapes."""
        with subnet_scope(subnet):
            if self._fake_quantization is None:
                return self.backbone(inputs, training=training)
            return self._fake_quantization.run(self.graph, self.backbone, inputs, training)

    @property
    def fake_quantization(self) -> FakeQuantization | None:
        """What the model now rounds with; None, as by default, while it computes in float."""
        return self._fake_quantization

    @fake_quantization.setter
    def fake_quantization(self, quantization: FakeQuantization | None) -> None:
        if quantization is not self._fake_quantization:
            self._fake_quantization = quantization
            # Keras traces them again, the one of training only at the start of a fit.
            self.train_function = self.test_function = self.predict_function = None

    def fit(self, *args, **kwargs) -> keras.callbacks.History:
        """`keras.Model.fit`; an earlier quantisation-aware fit, if broken off too, is forgotten."""
        self.ranges = self.fake_quantization = None
        return super().fit(*args, **kwargs)

    def compile(
        self,
        optimizer="adam",
        loss: str | keras.losses.Loss | None = None,
        metrics: Sequence[str | keras.Metric] = (),
        **kwargs,
    ) -> None:
        """Configure training. A cross-entropy given by name takes logits or probabilities,
        whichever the network puts out.
        """
        self.subnet_loss = resolve_loss(loss, self.graph) if loss is not None else None
        per_subnet = [[self._metric(m, name) for m in metrics or ()] for name in self.subnet_names]
        super().compile(optimizer=optimizer, metrics=per_subnet, **kwargs)
        self._nested_compile_config = {
            "optimizer": self.optimizer,
            "loss": loss,
            "metrics": list(metrics or ()),
            **kwargs,
        }

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Weighted mean over subnets of (1 - alpha) * loss + alpha * distillation."""
        if self.subnet_loss is None:
            raise ModelError("The nested model has no loss. Call compile(optimizer, loss) first.")
        teacher = ops.stop_gradient(y_pred[-1])
        losses = []
        for k, output in enumerate(y_pred):
            loss = self.subnet_loss(y, output, sample_weight=sample_weight)
            if k < self.subnet_count - 1 and is_classifier(self.subnet_loss):
                alpha = self.distillation_alpha
                loss = (1.0 - alpha) * loss + alpha * self._distillation(teacher, output)
            losses.append(loss)
        weights = ops.convert_to_tensor(self.subnet_weights)
        total = ops.sum(ops.stack(losses) * weights) / ops.sum(weights)
        return total + _share(sum(self.losses))

    def compute_metrics(self, x, y, y_pred, sample_weight=None) -> dict:
        """Update the metrics of every subnet; return all results by name."""
        return super().compute_metrics(x, [y] * self.subnet_count, y_pred, sample_weight)

    def get_metrics_result(self) -> dict:
        """Results by name: the metrics' own names end in the budget, "accuracy_25"."""
        own = {metric.name for metric in self._all_metrics()}
        results = super().get_metrics_result().items()
        return {_without_output(name, own): value for name, value in results}

    def _all_metrics(self) -> list[keras.Metric]:
        return [m for group in self.metrics for m in getattr(group, "metrics", [group])]

    def subnet(self, index: int) -> keras.Model:
        """A plain Keras model of one subnet, sliced out: stock layers, own weights."""
        arrays = self.subnet_arrays(index)
        graph = self.graph.cut(self.plan.widths[index])
        name = f"{self.name}_{self.subnet_names[index].replace('.', '_')}"
        return write_model(graph, arrays, name)

    def subnet_arrays(self, index: int) -> dict[str, np.ndarray]:
        """Float32 weights of one subnet by "node/kind", with its own batch-norm."""
        if not 0 <= index < self.subnet_count:
            raise ModelError(
                f"Subnet {index} does not exist: there are 0..{self.subnet_count - 1}."
            )
        full, norms = {}, {}
        for node in self.graph.nodes:
            layer = self.backbone.get_layer(node.name)
            if node.op in NORM_OPS:
                kinds = [f"{node.name}/{kind}" for kind in node.weight_kinds]
                norms |= dict(zip(kinds, layer.subnet_weights(index), strict=True))
                full |= dict(zip(kinds, layer.subnet_weights(-1), strict=True))
            else:
                full |= layer_weights(layer, node)
        return slice_weights(self.graph, full, self.plan.widths[index]) | norms

    def get_config(self) -> dict:
        """What `from_config` needs to build the model again, without its weights."""
        return {
            "name": self.name,
            "graph": self.graph.to_dict(),
            "plan": self.plan.to_dict(),
            "ranges": self.ranges and {node: list(pair) for node, pair in self.ranges.items()},
            "batch_norm": self.batch_norm,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects=None) -> "NestedModel":
        """Inverse of `get_config`; one without a batch-norm mode has the default."""
        config = dict(config)
        graph = LayerGraph.from_dict(config.pop("graph"))
        return cls(graph, Plan.from_dict(config.pop("plan")), **config)

    def get_compile_config(self) -> dict:
        """Arguments of `compile`, serialised."""
        return keras.saving.serialize_keras_object(getattr(self, "_nested_compile_config", {}))

    def compile_from_config(self, config: dict) -> None:
        """Compile as the saved model was, and create the optimizer's variables."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def _distillation(self, teacher, student):
        """T^2 KL(teacher || student): soft cross-entropy less the teacher's own entropy."""
        soft_teacher, soft_student = self._log_soft(teacher), self._log_soft(student)
        divergence = ops.exp(soft_teacher) * (soft_teacher - soft_student)
        return _share(ops.mean(ops.sum(divergence, axis=-1))) * self.temperature**2

    def _log_soft(self, output):
        if self.graph.nodes[-1].op == "softmax":
            output = ops.log(ops.maximum(output, keras.backend.epsilon()))
        return ops.log_softmax(output / self.temperature)

    def _metric(self, metric: str | keras.Metric, subnet_name: str) -> keras.Metric:
        if isinstance(metric, keras.Metric):
            config = metric.get_config() | {"name": f"{metric.name}_{subnet_name}"}
            return type(metric).from_config(config)
        if metric in ("accuracy", "acc"):
            return self._accuracy(f"{metric}_{subnet_name}")
        return keras.metrics.MeanMetricWrapper(
            keras.metrics.get(metric), name=f"{metric}_{subnet_name}"
        )

    def _accuracy(self, name: str) -> keras.Metric:
        if isinstance(self.subnet_loss, keras.losses.CategoricalCrossentropy):
            return keras.metrics.CategoricalAccuracy(name)
        if isinstance(self.subnet_loss, keras.losses.SparseCategoricalCrossentropy):
            return keras.metrics.SparseCategoricalAccuracy(name)
        return keras.metrics.BinaryAccuracy(name)

    def _setting(self, name: str, value) -> keras.Variable:
        return self.add_weight(
            shape=np.shape(value),
            initializer=keras.initializers.Constant(value),
            trainable=False,
            name=name,
        )

    def _nested_layer(self, graph: LayerGraph, node: Node) -> keras.Layer:
        makes = self._nested_axis(node)
        if node.op in NORM_OPS:
            batch_norm = batch_norm_class(self.batch_norm)
            norm = batch_norm if node.op == "batch_norm" else NestedLayerNormalization
            return norm(makes, epsilon=node.epsilon, name=node.name)
        if node.op == "prelu":
            return NestedPReLU(makes, shared_axes=shared_axes(node), name=node.name)
        if node.op == "position_embedding":
            return NestedPositionEmbedding(makes, name=node.name)
        if node.op not in LINEAR_OPS:
            return stock_layer(graph, node)
        source = graph.source(node)
        axes = {"reads": self._nested_axis(source), "makes": makes}
        if node.op == "conv2d":
            return NestedConv2D(**axes, **convolution_options(node))
        if node.op == "depthwise_conv2d":
            options = convolution_options(node) | {"depth_multiplier": node.multiplier}
            return NestedDepthwiseConv2D(**axes, **options)
        return NestedDense(**axes, positions=source.positions, use_bias=node.bias, name=node.name)

    def _nested_axis(self, node: Node) -> NestedAxis:
        return [(p.channels, [p.active(widths) for widths in self.plan.widths]) for p in node.parts]


def _share(loss):
    """One replica's part of a loss under `tf.distribute`, which sums them; Keras's own do this."""
    return loss / tf.distribute.get_strategy().num_replicas_in_sync


def _without_output(name: str, own: set[str]) -> str:
    """Undo Keras's prefix of the output's name: "25_accuracy_25" is our "accuracy_25"."""
    short = name.split("_", 1)[-1]
    return short if short in own else name
