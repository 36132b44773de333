"""`python -m tflm_reds.build`: from a Keras model to an int8 image that switches subnets."""

import argparse
import os
import sys
from pathlib import Path

from tflm_reds.device_options import add_device_arguments
from tflm_reds.errors import RedsError, ToolchainError
from tflm_reds.package import add_package_arguments

EPILOG = """\
examples:
  python -m tflm_reds.build
      the whole story on scikit-learn's digits: train, plan, nest, quantise, generate, build,
      run on the simulated Arduino Nano 33 BLE, compare with TensorFlow Lite Micro
  python -m tflm_reds.build my.keras --calibration my.npz --budgets 0.3 0.6
      your own trained model; my.npz holds x, y (training) and, to choose and to measure by,
      x_validation, y_validation, x_test, y_test
  python -m tflm_reds.build my.keras --calibration my.npz --budgets 0.25 0.5 --ram 40960
      two subnets of at most 25 and 50 % of the MACs, both in 40 KiB of RAM
  python -m tflm_reds.build build/my/nested.keras --calibration my.npz
      a model that is nested already: quantise, build and simulate again
  python -m tflm_reds.build --zoo ds_cnn_s_kws --data DIR --epochs 10
      the Speech Commands network; DIR holds kws_speech_commands_mfcc.npz and, for the pretrained
      weights, weights_float.npz (or set TFLM_REDS_DATA)

  python -m tflm_reds.build my.keras --calibration photos/ --pixel-range -1 1
      the same with images: photos/train/CLASS/*.jpg, and folders validation and test beside train

results, in --out:
  report.md, report.json      the table of subnets, and all its numbers with their sources
  nested.keras, plan.json     the nested Keras model (keras.models.load_model) and its widths
  quantized.npz               the int8 network (tflm_reds.QuantizedNet.load)
  src/                        the C sources: copy them into your firmware; start at reds.h
  firmware/                   the bare-metal image for the board, a Renode suite that runs it, and
                              where the board has an Arduino core, a sketch that does the same
  tflm/                       for TensorFlow Lite Micro: model_reds.tflite, all subnets with custom
                              ops; model_full.tflite, the full subnet with stock ops
  litert/                     --target litert: a plain .tflite of each subnet, float32 and int8
  packages/                   --package: libraries for Arduino, PlatformIO, CMake, ESP-IDF, Zephyr
"""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tflm_reds.build",
        description="Turn a trained Keras model into one int8 model that resizes itself at run "
        "time on a microcontroller, and prove it on a simulated board.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_model_arguments(parser.add_argument_group("model and data"))
    _add_plan_arguments(parser.add_argument_group("plan"))
    _add_training_arguments(parser.add_argument_group("training"))
    _add_check_arguments(parser.add_argument_group("board and checks"))
    add_package_arguments(parser.add_argument_group("packages"))
    add_device_arguments(parser.add_argument_group("a real board (docs/flashing.md)"))
    return parser.parse_args(arguments)


def _add_model_arguments(group) -> None:
    group.add_argument("model", nargs="?", type=Path, help="a .keras file, trained or nested")
    group.add_argument("--zoo", help="a reference network with an int8 form, such as ds_cnn_s_kws")
    group.add_argument("--data", type=Path, help="directory of the zoo's data and weights")
    group.add_argument("--dataset", help="a data set other than the zoo network's own")
    group.add_argument(
        "--calibration",
        type=Path,
        metavar="DATA",
        help=".npz with your own data, or a folder of images with a subfolder for each class",
    )
    group.add_argument(
        "--pixel-range",
        type=float,
        nargs=2,
        default=[0.0, 1.0],
        metavar=("BLACK", "WHITE"),
        help="what a folder's pixels become, as in your model's training (default: 0 1)",
    )
    group.add_argument("--name", help="prefix of the C symbols (default: the output folder's name)")
    group.add_argument("--out", type=Path, help="output folder (default: build/<model>)")


def _add_plan_arguments(group) -> None:
    group.add_argument(
        "--budgets",
        type=float,
        nargs="+",
        help="fractions of the full network's true MACs (default: 0.25 0.5 0.75, or none where "
        "another limit is given); each limit takes a value for each subnet or one for all",
    )
    for name, kind, what in (
        ("--label", float, "fractions of the MACs as the REDS paper counts them"),
        ("--ram", int, "bytes of the int8 arena of an image cut to the subnet"),
        ("--ms", float, "milliseconds of an inference, by the times of --latency"),
        ("--uj", float, "microjoules of an inference, likewise"),
    ):
        group.add_argument(name, type=kind, nargs="+", help=what)
    group.add_argument(
        "--flash",
        type=int,
        nargs="*",
        metavar="BYTES",
        help="of weights and tables of such an image; without a number: flash the board with the "
        "finished build",
    )
    group.add_argument("--latency", type=Path, help="a LatencyTable file (tflm_reds.profile)")
    group.add_argument("--minimum", type=_positive, default=1, help="least width (default: 1)")
    group.add_argument(
        "--multiple", type=_positive, default=1, help="widths are multiples of this, or full"
    )
    group.add_argument(
        "--direction", choices=["bottom-up", "top-down", "joint"], default="bottom-up"
    )
    group.add_argument(
        "--objective",
        choices=["width", "measured", "product", "sum"],
        default="width",
        help="what widths maximise: width, least narrowness, by the same law for every layer "
        "(default); measured, that law measured on this network, which takes minutes; product, of "
        "the layers' kept shares of importance; sum, of importance, as in the paper",
    )
    group.add_argument(
        "--batch-norm",
        choices=["per_subnet", "shared_scale", "shared"],
        default="per_subnet",
        help="what the subnets share of batch-norms: per_subnet, nothing (default); "
        "shared_scale, the scale; shared, everything: 9, 4 or 0 B of flash for each of a subnet's "
        "channels",
    )


def _add_training_arguments(group) -> None:
    group.add_argument(
        "--epochs", type=_count, help="of joint training (default: 30; 0 for a nested model)"
    )
    group.add_argument(
        "--quantization-epochs",
        type=_count,
        default=0,
        metavar="N",
        help="the last N of --epochs train with int8's rounding (default: 0)",
    )
    group.add_argument(
        "--float-epochs",
        type=_positive,
        default=15,
        help="for a zoo network without pretrained weights (default: 15)",
    )
    group.add_argument(
        "--learning-rate",
        type=float,
        help="of joint training (default: 0.001; 0.003 for a network that this build trains)",
    )
    group.add_argument("--batch-size", type=_positive, default=64, help="(default: 64)")
    group.add_argument(
        "--distillation",
        type=_share,
        default=0.5,
        metavar="ALPHA",
        help="share of the full subnet's teaching in the smaller ones' loss (default: 0.5)",
    )
    group.add_argument(
        "--soft-labels",
        type=_share,
        default=0.9,
        metavar="SHARE",
        help="share of the given network's own outputs in the labels, so that little data does "
        "not spoil it (default: 0.9)",
    )
    group.add_argument("--seed", type=_count, default=0, help="of everything random (default: 0)")


def _add_check_arguments(group) -> None:
    group.add_argument("--board", default="nano33ble", help="board name or .toml file")
    group.add_argument(
        "--sim",
        choices=["unicorn", "qemu", "renode", "all"],
        default="unicorn",
        help="what runs the image: unicorn, by pip alone (default); qemu; renode, the generated "
        "suite by renode-test; all that are installed, which must agree in bytes and instructions",
    )
    group.add_argument(
        "--optimize",
        choices=["speed", "ram"],
        default="speed",
        help="speed: kernels may raise the arena to 1.20 times what the tensors need (default); "
        "ram: to 1.05 times",
    )
    group.add_argument(
        "--no-tuning",
        dest="tuning",
        action="store_false",
        help="choose kernels by shape, not by what each takes on the simulated board",
    )
    group.add_argument(
        "--compare",
        type=_positive,
        default=200,
        metavar="N",
        help="inputs per subnet on which all implementations must agree (default: 200)",
    )
    group.add_argument(
        "--no-tflm",
        dest="tflm",
        action="store_false",
        help="do not compare with the tflite-micro wheel",
    )
    group.add_argument(
        "--target",
        choices=["board", "litert"],
        default="board",
        help="litert: beside all else, each subnet as a plain .tflite file, float32 and int8, for "
        "phones and Linux",
    )
    group.add_argument(
        "--check",
        type=Path,
        metavar="BUDGETS",
        help="a budgets.toml: fail with a table of what needs more than it allows",
    )
    group.add_argument(
        "--update-budgets",
        type=Path,
        metavar="BUDGETS",
        help="write a budgets.toml that this build just keeps",
    )
    group.add_argument("--quiet", action="store_true", help="print only the table")


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 1")
    return value


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status (0, or the error's `exit_code`)."""
    parsed = parse_arguments(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow takes seconds to import: --help must not wait for it.
    from tflm_reds.options import BuildOptions

    options = BuildOptions.from_arguments(vars(parsed))
    try:
        return _build(options)
    except RedsError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tflm_reds"):
            raise
        print(
            f"\nThe package {error.name} is missing. Run: pip install 'tflm-reds[all]'",
            file=sys.stderr,
        )
        return ToolchainError.exit_code
    except KeyboardInterrupt:
        print(f"\nInterrupted. {options.folder} is as it was before.", file=sys.stderr)
        return 130


def _build(options) -> int:
    import tensorflow as tf

    from tflm_reds import gate
    from tflm_reds.boards.schema import load_board
    from tflm_reds.device import check_device, use_device
    from tflm_reds.report import render_table
    from tflm_reds.stages import build

    # K sliced models are traced once each, which TensorFlow takes for a mistake.
    tf.get_logger().setLevel("ERROR")

    check_device(load_board(options.board), options.device)
    budgets = gate.Gate.load(options.check) if options.check else None  # before the work
    report = build(options)
    if options.device:
        report = use_device(options.folder, options.device, options.board) or report
    print(render_table(report))
    if not options.quiet:
        print("\n".join(["", *report.notes, f"Everything is in {options.folder}."]))
    if options.update_budgets:
        gate.update(options.update_budgets, report)
    if budgets:
        gate.check(budgets, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
