"""The bridge's child: load with tf_keras, take tfmot's wrappers off, save as plain HDF5."""

import sys


def main() -> int:
    """`tfmot_strip SOURCE TARGET`; 3 if tensorflow-model-optimization is missing."""
    try:
        import tensorflow_model_optimization as tfmot
        import tf_keras
    except ModuleNotFoundError:
        return 3
    source, target = sys.argv[1:]
    with (
        tfmot.quantization.keras.quantize_scope(),
        tfmot.sparsity.keras.prune_scope(),
        tfmot.clustering.keras.cluster_scope(),
    ):
        model = tf_keras.models.load_model(source, compile=False)
    model = tfmot.sparsity.keras.strip_pruning(model)
    model = tfmot.clustering.keras.strip_clustering(model)
    _without_quantization(tf_keras, model).save(target)
    return 0


def _without_quantization(tf_keras, model):
    """The model with each quantisation wrapper replaced by the layer in it."""
    if not any(_is_quantization(layer) for layer in model.layers):
        return model
    plain = tf_keras.models.clone_model(model, clone_function=lambda x: _plain(tf_keras, x))
    for old, new in zip(model.layers, plain.layers, strict=True):
        named = {_kind(weight): weight for weight in old.weights}
        new.set_weights([named[_kind(weight)].numpy() for weight in new.weights])
    return plain


def _is_quantization(layer) -> bool:
    return type(layer).__name__.startswith(("QuantizeWrapper", "QuantizeLayer"))


def _plain(tf_keras, layer):
    if type(layer).__name__ == "QuantizeLayer":
        return tf_keras.layers.Activation("linear", name=layer.name)
    if not _is_quantization(layer):
        return type(layer).from_config(layer.get_config())
    inner = layer.layer
    config = inner.get_config()
    activation = getattr(inner, "activation", None)
    if "activation" in config:
        # tfmot wraps the function; a convolution before batch-norm gets none of its own.
        while hasattr(activation, "activation"):
            activation = activation.activation
        known = type(activation).__name__ != "NoOpActivation"
        config["activation"] = tf_keras.activations.serialize(activation) if known else "linear"
    return type(inner).from_config(config)


def _kind(weight) -> str:
    """ "conv/kernel:0" is a kernel."""
    return weight.name.rsplit("/", 1)[-1]


if __name__ == "__main__":
    sys.exit(main())
