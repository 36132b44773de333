"""Float weights out of an int8 `.tflite` file, for nets whose float weights are not public."""

import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from struct import error as struct_error

import numpy as np

from tflm_reds.datasets.checksums import broken_file
from tflm_reds.errors import DataError
from tflm_reds.zoo.pretrained import LayersByKind

# For each op: the layer's kind, and the axes of the stored kernel in Keras's order.
KERNELS = {
    "CONV_2D": ("conv2d", (1, 2, 3, 0)),
    "DEPTHWISE_CONV_2D": ("depthwise_conv2d", (1, 2, 3, 0)),
    "FULLY_CONNECTED": ("dense", (1, 0)),
}
DTYPES = {"INT8": np.int8, "INT32": np.int32}


def read_tflite_layers(archive: Path, member: str) -> LayersByKind:
    """Dequantised kernels and biases of the file `member` in a zip archive, in its ops' order.

    Batch normalisation is folded into them, so there are no layers of that kind.

    Raises:
        DataError: if the archive or the file is broken, or the package tflite is not installed.
    """
    by_kind: LayersByKind = defaultdict(list)
    try:
        with zipfile.ZipFile(archive) as files:
            content = files.read(member)
        for kind, kernel, bias in _linear_ops(content):
            by_kind[kind].append({"kernel": kernel, "bias": bias})
    except ImportError as error:
        raise DataError(
            f"The weights of {member} take the package tflite: pip install 'tflm-reds[tflm]'"
        ) from error
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise broken_file(archive, f"{member} cannot be read: {error}") from error
    except (struct_error, IndexError, TypeError, ValueError, AttributeError) as error:
        raise broken_file(archive, f"{member} is no intact .tflite file") from error
    return by_kind


def _linear_ops(content: bytes) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(kind, kernel, bias) of every op with a kernel, in file order, which is that of execution."""
    import tflite

    names = {number: name for name, number in vars(tflite.BuiltinOperator).items()}
    model = tflite.Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    for index in range(graph.OperatorsLength()):
        op = graph.Operators(index)
        code = model.OperatorCodes(op.OpcodeIndex())
        name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if name in KERNELS:
            kind, axes = KERNELS[name]
            kernel, bias = (_dequantised(model, graph.Tensors(op.Inputs(i))) for i in (1, 2))
            yield kind, kernel.transpose(axes), bias


def _dequantised(model, tensor) -> np.ndarray:
    import tflite

    types = {number: name for name, number in vars(tflite.TensorType).items()}
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    stored = data.view(DTYPES[types[tensor.Type()]]).reshape(tensor.ShapeAsNumpy())
    quantization = tensor.Quantization()
    scales = quantization.ScaleAsNumpy()
    shape = [1] * stored.ndim
    shape[quantization.QuantizedDimension()] = len(scales)
    return stored * scales.reshape(shape).astype(np.float32)
