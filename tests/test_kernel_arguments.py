"""Kernels refuse what they cannot compute: an error code, and the output untouched."""

import pytest
from host_machine import KERNELS, Host
from kernel_calls import CANARY

OK, ERROR_ARGUMENT = 0, 1
HUGE = 1 << 20

# A valid call of each kernel; dims are (height, width, channels, stride). "*name" is a buffer.
CONVOLUTION = {
    "context": ("*scratch", 4096),
    "params": (1, 2, 1, 1, 0, 0, 1, 1, -128, 127, 0, 0),  # the last two: a null pointer
    "requantisation": ("*multiplier", "*shift"),
    "input_dims": (4, 4, 3, 4),
    "input": "*data",
    "filter_dims": (1, 1, 3, 4),
    "filter": "*data",
    "bias": "*data",
    "output_dims": (4, 4, 2, 4),
    "output": "*output",
}
DEPTHWISE = CONVOLUTION | {"output_dims": (4, 4, 3, 4)}
DEPTHWISE_3X3 = CONVOLUTION | {
    "params": (1, 2, 1, 1, 1, 1, 1, 1, -128, 127, 0, 0),
    "filter_dims": (3, 3, 3, 4),
    "output_dims": (4, 4, 3, 4),
}
DENSE = CONVOLUTION | {
    "params": (1, 2, -128, 127, 0, 0),
    "input_dims": (1, 1, 3, 4),
    "output_dims": (1, 1, 2, 4),
}
POOL = {
    "params": (1, 1, 0, 0, -128, 127),
    "input_dims": (4, 4, 3, 4),
    "input": "*data",
    "filter_dims": (2, 2, 0, 0),
    "output_dims": (3, 3, 3, 4),
    "output": "*output",
}
COPY = {
    "input_dims": (4, 4, 3, 4),
    "input": "*data",
    "output_dims": (4, 4, 3, 4),
    "output": "*output",
}
FACTOR = (1 << 30, -3)
ADD = {
    "params": (1, -1, 2, *FACTOR, *FACTOR, *FACTOR, -128, 127),
    "input1_dims": (4, 4, 3, 4),
    "input1": "*data",
    "input2_dims": (4, 4, 3, 5),
    "input2": "*data",
    "output_dims": (4, 4, 3, 4),
    "output": "*output",
}
PRELU = {
    "params": (1, 2, *FACTOR, *FACTOR),
    "input_dims": (4, 4, 3, 4),
    "input": "*data",
    "slope_dims": (1, 1, 3, 4),
    "slopes": "*data",
    "output_dims": (4, 4, 3, 4),
    "output": "*output",
}
CONCATENATE = {
    # {runs, run_count | input_count}: a pointer and two int32, here of 8 bytes together.
    "params": ("*runs", 2 | 2 << 32),
    "input_dims": (4, 4, 3, 4, 4, 4, 2, 2),
    "inputs": ("*data", "*data"),
    "output_dims": (4, 4, 4, 6),
    "output": "*output",
}
NARROW = CONVOLUTION | {
    "input_dims": (4, 4, 1, 1),
    "filter_dims": (1, 4, 1, 1),
}
KERNEL_CALLS = {
    "reds_convolve_s8": CONVOLUTION,
    "reds_convolve_narrow_s8": NARROW,
    "reds_convolve_1x1_s8": CONVOLUTION,
    "reds_convolve_1x1_small_s8": CONVOLUTION,
    "reds_convolve_direct_s8": CONVOLUTION,
    "reds_depthwise_conv_s8": DEPTHWISE,
    "reds_depthwise_conv_3x3_s8": DEPTHWISE_3X3,
    "reds_fully_connected_s8": DENSE,
    "reds_max_pool_s8": POOL,
    "reds_average_pool_s8": POOL,
    "reds_mean_s8": {"params": (1, 2, 1 << 30, -3)} | COPY | {"output_dims": (1, 1, 3, 4)},
    "reds_lookup_s8": {"table": "*data"} | COPY,
    "reds_softmax_s8": {"table": "*exponentials"} | COPY,
    "reds_pad_s8": {"params": (0, 0, 0)} | COPY,
    "reds_flatten_s8": COPY | {"output_dims": (1, 1, 48, 64)},
    "reds_add_s8": ADD,
    "reds_prelu_s8": PRELU,
    "reds_concatenate_s8": CONCATENATE,
}
ALL = list(KERNEL_CALLS)
LINEAR = ALL[:8]
WITHOUT_SCRATCH = ("reds_convolve_direct_s8", "reds_depthwise_conv_s8")
SLIDING = [
    "reds_convolve_s8",
    "reds_convolve_narrow_s8",
    "reds_depthwise_conv_s8",
    "reds_depthwise_conv_3x3_s8",
    "reds_max_pool_s8",
    "reds_average_pool_s8",
]


@pytest.fixture(scope="module")
def host(tmp_path_factory) -> Host:
    return Host(sorted(KERNELS.glob("*.c")), tmp_path_factory.mktemp("host"))


def status_of(host: Host, kernel: str, **changes) -> int:
    """Call `kernel` with some arguments changed; an int is passed as it is (0 = null)."""
    buffers = {
        "*scratch": bytes(4096),
        "*multiplier": (1 << 30).to_bytes(4, "little") * 64,
        "*shift": bytes(64),
        "*data": bytes(4096),
        "*exponentials": (2**31 - 1).to_bytes(4, "little") * 256,
        "*runs": b"".join(value.to_bytes(4, "little") for value in (0, 1, 2, 1, 0, 2)),
        "*output": bytes([CANARY]) * 4096,
    }
    address = {name: host.place(data) for name, data in buffers.items()}

    def argument(value) -> int:
        if isinstance(value, int):
            return value
        if isinstance(value, str):
            return address[value]
        pointers = any(isinstance(part, str) for part in value)
        width = 8 if pointers else 4
        parts = [address[part] if isinstance(part, str) else part for part in value]
        return host.place(b"".join(part.to_bytes(width, "little", signed=True) for part in parts))

    arguments = KERNEL_CALLS[kernel] | changes
    status = host.call(kernel, *map(argument, arguments.values()))
    untouched = host.read(address["*output"], 4096) == buffers["*output"]
    assert untouched == (status != OK), "only a refused call leaves the output as it was"
    host.free()
    return status


@pytest.mark.parametrize("kernel", ALL)
def test_valid_call(host, kernel):
    assert status_of(host, kernel) == OK


@pytest.mark.parametrize(
    ("kernel", "argument"), [(k, name) for k in ALL for name in KERNEL_CALLS[k]]
)
def test_null(host, kernel, argument):
    if argument == "context" and kernel in WITHOUT_SCRATCH:
        assert status_of(host, kernel, context=0) == OK
    elif argument == "output":
        assert host.call(kernel, *([0] * len(KERNEL_CALLS[kernel]))) == ERROR_ARGUMENT
    else:
        assert status_of(host, kernel, **{argument: 0}) == ERROR_ARGUMENT


TENSORS = [(k, name) for k in ALL for name in KERNEL_CALLS[k] if name.endswith("put_dims")]
TENSORS += [("reds_add_s8", "input1_dims"), ("reds_add_s8", "input2_dims")]


@pytest.mark.parametrize(("kernel", "tensor"), TENSORS)
@pytest.mark.parametrize(
    "dims",
    [
        (0, 4, 3, 4),
        (4, -1, 3, 4),
        (4, 4, 0, 4),
        (4, 4, 5, 4),
        (4, 4, 3, 0),
        (HUGE, HUGE, 3, 4),
        (4, HUGE, 3, HUGE),
        (2**31 - 1, 2**31 - 1, 3, 2**31 - 1),
    ],
)
def test_bad_dims(host, kernel, tensor, dims):
    if (kernel, tensor) == ("reds_concatenate_s8", "input_dims"):
        dims = (*KERNEL_CALLS[kernel][tensor][:4], *dims)
    assert status_of(host, kernel, **{tensor: dims}) == ERROR_ARGUMENT


@pytest.mark.parametrize("kernel", LINEAR)
@pytest.mark.parametrize(
    "dims", [(0, 1, 3, 4), (1, 1, 2, 4), (1, 1, 3, 2), (HUGE, HUGE, 3, 4), (1, 1, 3, 2**31 - 1)]
)
def test_bad_filter(host, kernel, dims):
    if kernel == "reds_depthwise_conv_s8" and dims == (1, 1, 3, 2**31 - 1):
        pytest.skip("a depthwise filter has one row only: this stride still fits")
    assert status_of(host, kernel, filter_dims=dims) == ERROR_ARGUMENT


@pytest.mark.parametrize("kernel", SLIDING)
@pytest.mark.parametrize(("index", "value"), [(0, 0), (1, -1), (0, 2**30), (2, -1), (3, -1)])
def test_bad_geometry(host, kernel, index, value):
    params = list(KERNEL_CALLS[kernel]["params"])
    params[index + (2 if "bias" in KERNEL_CALLS[kernel] else 0)] = value
    assert status_of(host, kernel, params=tuple(params)) == ERROR_ARGUMENT


@pytest.mark.parametrize("kernel", ["reds_max_pool_s8", "reds_average_pool_s8"])
def test_pooling_windows_must_meet_the_input(host, kernel):
    assert status_of(host, kernel, params=(1, 1, 2, 0, -128, 127)) == ERROR_ARGUMENT
    assert status_of(host, kernel, params=(3, 1, 0, 0, -128, 127)) == ERROR_ARGUMENT


@pytest.mark.parametrize("kernel", LINEAR)
@pytest.mark.parametrize("offset", [-128, 129, 2**31 - 1])
def test_input_offset_of_no_zero_point(host, kernel, offset):
    params = (offset, *KERNEL_CALLS[kernel]["params"][1:])
    assert status_of(host, kernel, params=params) == ERROR_ARGUMENT


@pytest.mark.parametrize(
    ("kernel", "size"),
    [
        ("reds_convolve_s8", "buffer_size"),
        ("reds_convolve_1x1_s8", "buffer_size"),
        ("reds_convolve_1x1_small_s8", "least_buffer_size"),
        ("reds_fully_connected_s8", "buffer_size"),
    ],
)
def test_scratch(host, kernel, size):
    needed = host.call(
        f"{kernel}_get_{size}", host.place(bytes.fromhex("01000000" * 2 + "03000000 04000000"))
    )
    assert needed > 0
    assert status_of(host, kernel, context=("*scratch", needed)) == OK
    assert status_of(host, kernel, context=("*scratch", needed - 1)) == ERROR_ARGUMENT
    assert status_of(host, kernel, context=(0, "*scratch")) == ERROR_ARGUMENT


@pytest.mark.parametrize("kernel", [k for k in LINEAR if k not in WITHOUT_SCRATCH])
def test_misaligned_scratch(host, kernel):
    start = host.place(bytes(4096)) + 1
    context = host.place(start.to_bytes(8, "little") + (4000).to_bytes(8, "little"))
    assert status_of(host, kernel, context=context) == ERROR_ARGUMENT


@pytest.mark.parametrize("kernel", [k for k in LINEAR if not k.startswith("reds_depthwise")])
def test_misaligned_packed_weights(host, kernel):
    assert status_of(host, kernel, filter=host.place(bytes(4096)) + 2) == ERROR_ARGUMENT


@pytest.mark.parametrize(
    "change",
    [
        {"filter_dims": (1, 3, 1, 1)},
        {"filter_dims": (1, 4, 1, 4)},
        {"input_dims": (4, 4, 1, 2)},
        {"params": (*CONVOLUTION["params"][:7], 2, *CONVOLUTION["params"][8:])},
    ],
    ids=str,
)
def test_narrow_takes_rows_of_four_inputs_side_by_side(host, change):
    assert status_of(host, "reds_convolve_narrow_s8") == OK
    assert status_of(host, "reds_convolve_narrow_s8", **change) == ERROR_ARGUMENT


def test_pointwise_has_no_stride_and_no_padding(host):
    for index, value in ((2, 2), (3, 2), (4, 1), (5, 1)):
        params = list(CONVOLUTION["params"])
        params[index] = value
        assert status_of(host, "reds_convolve_1x1_s8", params=tuple(params)) == ERROR_ARGUMENT


@pytest.mark.parametrize(
    ("kernel", "places"), [("reds_add_s8", (3, 5, 7)), ("reds_prelu_s8", (2, 4))]
)
@pytest.mark.parametrize(
    "factor", [(0, 0), (-(1 << 30), 0), ((1 << 30) - 1, 0), (1 << 30, -32), (1 << 30, 31)]
)
def test_factors_out_of_range(host, kernel, places, factor):
    for place in places:
        params = list(KERNEL_CALLS[kernel]["params"])
        params[place : place + 2] = factor
        assert status_of(host, kernel, params=tuple(params)) == ERROR_ARGUMENT


@pytest.mark.parametrize("offset", [-128, 129])
def test_offsets_of_no_zero_point(host, offset):
    for kernel, index in (("reds_add_s8", 0), ("reds_add_s8", 1), ("reds_prelu_s8", 0)):
        params = list(KERNEL_CALLS[kernel]["params"])
        params[index] = offset
        assert status_of(host, kernel, params=tuple(params)) == ERROR_ARGUMENT


def test_a_sum_of_factors_above_one_is_refused(host):
    params = list(ADD["params"])
    params[8] = 1
    assert status_of(host, "reds_add_s8", params=tuple(params)) == ERROR_ARGUMENT


@pytest.mark.parametrize("dims", [(1, 1, 2, 4), (4, 1, 3, 4), (2, 2, 3, 4)])
def test_slopes_are_of_channels_or_of_all_values(host, dims):
    assert status_of(host, "reds_prelu_s8", slope_dims=dims) == ERROR_ARGUMENT
    assert status_of(host, "reds_prelu_s8", slope_dims=(4, 4, 3, 4)) == OK


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("filter_dims", (3, 2, 3, 4)),
        ("filter_dims", (1, 3, 3, 4)),
        ("params", (1, 2, 3, 1, 1, 1, 1, 1, -128, 127, 0, 0)),
        ("params", (1, 2, 1, 3, 1, 1, 1, 1, -128, 127, 0, 0)),
        ("params", (1, 2, 1, 1, 1, 1, 2, 1, -128, 127, 0, 0)),
        ("params", (1, 2, 1, 1, 1, 1, 1, 2, -128, 127, 0, 0)),
        ("input_dims", (4, 4, 1, 4)),
    ],
)
def test_depthwise_3x3_takes_only_that(host, argument, value):
    """3x3 weights, strides of 1 or 2, no dilation, one output channel for each input channel."""
    kernel = "reds_depthwise_conv_3x3_s8"
    assert status_of(host, kernel, **{argument: value}) == ERROR_ARGUMENT
    assert status_of(host, kernel, params=(1, 2, 2, 2, 9, 9, 1, 1, -128, 127, 0, 0)) == OK


def test_depthwise_3x3_scratch(host):
    kernel, ints = "reds_depthwise_conv_3x3_s8", DEPTHWISE_3X3
    params, dims = (
        host.place(b"".join(value.to_bytes(4, "little", signed=True) for value in ints[name]))
        for name in ("params", "output_dims")
    )
    needed = host.call(f"{kernel}_get_buffer_size", params, dims)
    assert host.call(f"{kernel}_get_buffer_size", params, 0) == 0
    assert host.call(f"{kernel}_get_buffer_size", 0, dims) == 0
    assert status_of(host, kernel, context=("*scratch", needed)) == OK
    assert status_of(host, kernel, context=("*scratch", needed - 1)) == ERROR_ARGUMENT
    assert status_of(host, kernel, context=(0, "*scratch")) == ERROR_ARGUMENT


@pytest.mark.parametrize("multiplier", [2, 3, 4])
def test_depth_multiplier(host, multiplier):
    """Output channels are a multiple of the input channels."""
    changes = {
        "filter_dims": (1, 1, multiplier * 2, 8),
        "input_dims": (4, 4, 2, 4),
        "output_dims": (4, 4, multiplier * 2, 8),
    }
    assert status_of(host, "reds_depthwise_conv_s8", **changes) == OK
    changes["input_dims"] = (4, 4, 5, 5)
    assert status_of(host, "reds_depthwise_conv_s8", **changes) == ERROR_ARGUMENT


@pytest.mark.parametrize(
    "runs",
    [
        ((2, 0, 2), (1, 0, 2)),
        ((-1, 0, 2), (1, 0, 2)),
        ((0, 2, 2), (1, 0, 2)),
        ((0, -1, 2), (1, 0, 2)),
        ((0, 0, 2), (1, 0, 1)),
        ((0, 0, 3), (1, 0, 2)),
        ((0, 0, 0), (1, 0, 2)),
        ((0, 2**31 - 1, 2), (1, 0, 2)),
        ((0, 0, 2**31 - 1), (1, 0, 2)),
    ],
)
def test_runs_lie_inside_their_inputs_and_fill_the_output(host, runs):
    table = host.place(b"".join(v.to_bytes(4, "little", signed=True) for r in runs for v in r))
    params = host.place(table.to_bytes(8, "little") + (2).to_bytes(4, "little") * 2)
    assert status_of(host, "reds_concatenate_s8", params=params) == ERROR_ARGUMENT


def test_a_concatenation_has_inputs(host):
    params = ("*runs", 2)
    assert status_of(host, "reds_concatenate_s8", params=params) == ERROR_ARGUMENT
    assert status_of(host, "reds_concatenate_s8", inputs=("*data", 0)) == ERROR_ARGUMENT


def test_pad_needs_room(host):
    assert status_of(host, "reds_pad_s8", params=(1, 0, 0)) == ERROR_ARGUMENT
    assert status_of(host, "reds_pad_s8", params=(-1, 0, 0)) == ERROR_ARGUMENT


def test_softmax_of_too_many_classes(host):
    dims = (1, 1, 4096, 4096)
    assert status_of(host, "reds_softmax_s8", input_dims=dims, output_dims=dims) == ERROR_ARGUMENT


def test_softmax_table_must_start_with_one(host):
    assert status_of(host, "reds_softmax_s8", table="*data") == ERROR_ARGUMENT


def test_fill_tail_arguments(host):
    dims = host.place(b"".join(value.to_bytes(4, "little") for value in (1, 1, 5, 4)))
    assert host.call("reds_fill_tail_s8", 0, dims, host.place(bytes(16))) == ERROR_ARGUMENT
    assert host.call("reds_fill_tail_s8", 0, 0, host.place(bytes(16))) == ERROR_ARGUMENT
