"""The .tflite container: a small description of a model, to and from flatbuffer bytes.

The only module that touches flatbuffers; needs the extra `tflm`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from struct import error as struct_error

import numpy as np

from tflm_reds.errors import ModelError, ToolchainError

try:
    import flatbuffers
    import tflite
    from flatbuffers import flexbuffers
except ImportError as error:
    raise ToolchainError(
        f"Writing .tflite files needs the packages flatbuffers and tflite ({error}). "
        "Install them with: pip install 'tflm-reds[tflm]'"
    ) from error

ALIGNMENT = 16
"""Constant data starts at multiples of this many bytes; Python's flatbuffers leaves that to us."""

_IDENTIFIER = b"TFL3"
_TYPES = {
    np.dtype(np.int8): tflite.TensorType.INT8,
    np.dtype(np.int32): tflite.TensorType.INT32,
}
_OPTION_TABLES = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "SOFTMAX": "SoftmaxOptions",
    "PAD": "PadOptions",
    "RESHAPE": "ReshapeOptions",
    "ADD": "AddOptions",
    "CONCATENATION": "ConcatenationOptions",
    "HARD_SWISH": "HardSwishOptions",
}
# Of int8 kernels; TFLM ignores versions, LiteRT does not.
_OP_VERSIONS = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "LEAKY_RELU": 1,
    "RESHAPE": 1,
    "HARD_SWISH": 1,
    "PRELU": 1,
}


@dataclass(frozen=True)
class TensorSpec:
    """One tensor.

    Attributes:
        shape: with the batch, if it has one.
        data: constant contents of this shape, None for an activation.
        dtype: of an activation.
        scales: float32; one, or one for each index along `axis`; none if not quantised.
        zero_point: the same for every scale.
    """

    name: str
    shape: tuple[int, ...]
    data: np.ndarray | None = None
    scales: np.ndarray | tuple[float, ...] = ()
    zero_point: int = 0
    axis: int = 0
    dtype: type = np.int8


@dataclass(frozen=True)
class OperatorSpec:
    """One operator.

    Attributes:
        code: a builtin name of TFLite, or the name of a custom op.
        inputs, outputs: names of tensors.
        options: builtin op: fields of its options table by their schema name.
        custom_options: custom op: its option bytes; None marks a builtin op.
    """

    code: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, int | float] = field(default_factory=dict)
    custom_options: bytes | None = None


@dataclass(frozen=True)
class ModelSpec:
    """One model of one subgraph; tensors and operators in file order."""

    name: str
    tensors: tuple[TensorSpec, ...]
    operators: tuple[OperatorSpec, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def flexbuffer_map(values: Mapping[str, int | list[int]]) -> bytes:
    """Options of a custom op as a FlexBuffer: a map of integers and typed integer vectors."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in values.items():
            builder.Key(key)
            if isinstance(value, list):
                builder.TypedVectorFromElements(value, flexbuffers.Type.INT)
            else:
                builder.Int(value)
    return bytes(builder.Finish())


def serialize(model: ModelSpec) -> bytes:
    """The bytes of a .tflite file; equal descriptions give equal bytes.

    Constant data is aligned to 16 bytes from the start of the file.
    """
    builder = flatbuffers.Builder(1 << 16)
    constants = [tensor.data for tensor in model.tensors if tensor.data is not None]
    # TFLite reserves buffer 0, empty, for tensors without constant data.
    buffers = _offsets(builder, [_buffer(builder, data) for data in (None, *constants)])
    codes = list(dict.fromkeys(operator.code for operator in model.operators))
    operator_codes = _offsets(builder, [_operator_code(builder, model, code) for code in codes])
    subgraphs = _offsets(builder, [_subgraph(builder, model, codes)])
    description = builder.CreateString(f"{model.name}, written by tflm_reds")
    root = _table(
        builder,
        "Model",
        Version=3,
        OperatorCodes=operator_codes,
        Subgraphs=subgraphs,
        Description=description,
        Buffers=buffers,
    )
    builder.Finish(root, file_identifier=_IDENTIFIER)
    content = bytes(builder.Output())
    for position in _buffer_positions(content):
        assert position % ALIGNMENT == 0, f"constant data at {position}: not aligned to 16 bytes"
    return content


def check_file(content: bytes, path: object) -> None:
    """Refuse what is not a whole .tflite file; TFLM itself would read beyond its end.

    Raises:
        ModelError: if `content` has another identifier, or is cut short.
    """
    if content[4:8] != _IDENTIFIER:
        raise ModelError(
            f"{path} is not a .tflite file: its identifier is {content[4:8]!r}, not "
            f"{_IDENTIFIER!r}. Write it again with tflm_reds.tflite_io."
        )
    try:
        _buffer_positions(content)
        subgraph = tflite.Model.GetRootAs(content).Subgraphs(0)
        names = [subgraph.Tensors(index).Name() for index in range(subgraph.TensorsLength())]
    except (struct_error, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(content, path) from error
    if not names:
        raise _damaged(content, path)


def subnets_of_input(content: bytes) -> int | None:
    """Subnets of a model whose second input selects one (`write_reds_model`), None of another.

    `content` has passed `check_file`.
    """
    subgraph = tflite.Model.GetRootAs(content).Subgraphs(0)
    if subgraph.InputsLength() != 2:
        return None
    operators = [subgraph.Operators(index) for index in range(subgraph.OperatorsLength())]
    options = [op.CustomOptionsAsNumpy() for op in operators if op.CustomOptionsLength()]
    return len(flexbuffers.Loads(options[0].tobytes())["outputs"]) if options else None


def builtin_ops(content: bytes) -> tuple[str, ...]:
    """Names of the stock ops in a .tflite file, such as MAX_POOL_2D; each once, sorted."""
    model = tflite.Model.GetRootAs(content)
    names = {number: name for name, number in vars(tflite.BuiltinOperator).items()}
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    numbers = {max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) for code in codes}
    return tuple(sorted(names[number] for number in numbers - {tflite.BuiltinOperator.CUSTOM}))


def _damaged(content: bytes, path: object) -> ModelError:
    return ModelError(
        f"{path} is a damaged .tflite file: a table points outside its {len(content)} bytes. "
        "Copy it again in binary mode, or write it again with tflm_reds.tflite_io."
    )


def _buffer_positions(content: bytes) -> list[int]:
    """Where the data of each non-empty buffer starts; ValueError if one ends beyond the file."""
    model = tflite.Model.GetRootAs(content)
    positions = []
    for index in range(model.BuffersLength()):
        table = model.Buffers(index)._tab
        slot = table.Offset(4)
        if slot:
            start, length = table.Vector(slot), table.VectorLen(slot)
            if start + length > len(content):
                raise ValueError(f"buffer {index} ends at byte {start + length}")
            positions.append(start)
    return positions


def _table(builder: flatbuffers.Builder, table: str, **fields: int | float) -> int:
    """Write one table by the generated functions of the schema; returns its offset."""
    getattr(tflite, f"{table}Start")(builder)
    for name, value in fields.items():
        getattr(tflite, f"{table}Add{name}")(builder, value)
    return getattr(tflite, f"{table}End")(builder)


def _offsets(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _integers(builder: flatbuffers.Builder, values: Iterable[int]) -> int:
    return builder.CreateNumpyVector(np.array(tuple(values), np.int32))


def _buffer(builder: flatbuffers.Builder, data: np.ndarray | None) -> int:
    if data is None:
        return _table(builder, "Buffer")
    content = np.ascontiguousarray(data).tobytes()
    builder.Prep(ALIGNMENT, len(content))
    return _table(builder, "Buffer", Data=builder.CreateByteVector(content))


def _operator_code(builder: flatbuffers.Builder, model: ModelSpec, code: str) -> int:
    custom = any(op.code == code and op.custom_options is not None for op in model.operators)
    if custom:
        number, version = tflite.BuiltinOperator.CUSTOM, 1
        name = {"CustomCode": builder.CreateString(code)}
    else:
        number, version = getattr(tflite.BuiltinOperator, code), _OP_VERSIONS.get(code, 2)
        name = {}
    fields = {"DeprecatedBuiltinCode": min(number, 127), **name}
    return _table(builder, "OperatorCode", **fields, Version=version, BuiltinCode=number)


def _subgraph(builder: flatbuffers.Builder, model: ModelSpec, codes: list[str]) -> int:
    constants = [tensor.name for tensor in model.tensors if tensor.data is not None]
    buffers = {name: index for index, name in enumerate(constants, start=1)}
    numbers = {tensor.name: index for index, tensor in enumerate(model.tensors)}
    tensors = [_tensor(builder, tensor, buffers.get(tensor.name, 0)) for tensor in model.tensors]
    operators = [_operator(builder, op, numbers, codes.index(op.code)) for op in model.operators]
    fields = {
        "Tensors": _offsets(builder, tensors),
        "Inputs": _integers(builder, (numbers[name] for name in model.inputs)),
        "Outputs": _integers(builder, (numbers[name] for name in model.outputs)),
        "Operators": _offsets(builder, operators),
        "Name": builder.CreateString("main"),
    }
    return _table(builder, "SubGraph", **fields)


def _tensor(builder: flatbuffers.Builder, tensor: TensorSpec, buffer: int) -> int:
    dtype = np.dtype(tensor.dtype) if tensor.data is None else tensor.data.dtype
    fields = {
        "Shape": _integers(builder, tensor.shape),
        "Type": _TYPES[dtype],
        "Buffer": buffer,
        "Name": builder.CreateString(tensor.name),
    }
    if len(tensor.scales):
        fields["Quantization"] = _quantization(builder, tensor)
    return _table(builder, "Tensor", **fields)


def _quantization(builder: flatbuffers.Builder, tensor: TensorSpec) -> int:
    scales = np.asarray(tensor.scales, np.float32)
    zero_points = np.full(len(scales), tensor.zero_point, np.int64)
    return _table(
        builder,
        "QuantizationParameters",
        Scale=builder.CreateNumpyVector(scales),
        ZeroPoint=builder.CreateNumpyVector(zero_points),
        QuantizedDimension=tensor.axis,
    )


def _operator(
    builder: flatbuffers.Builder, operator: OperatorSpec, numbers: Mapping[str, int], code: int
) -> int:
    fields = {
        "OpcodeIndex": code,
        "Inputs": _integers(builder, (numbers[name] for name in operator.inputs)),
        "Outputs": _integers(builder, (numbers[name] for name in operator.outputs)),
    }
    table = _OPTION_TABLES.get(operator.code)
    if operator.custom_options is not None:
        fields["CustomOptions"] = builder.CreateByteVector(operator.custom_options)
    elif table is not None:
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, table)
        fields["BuiltinOptions"] = _table(builder, table, **operator.options)
    return _table(builder, "Operator", **fields)
