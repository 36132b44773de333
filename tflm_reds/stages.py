"""The stages of a build, from a Keras model to a Report: each a function between plain objects."""

import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras
import numpy as np

from tflm_reds.boards.schema import Board, load_board
from tflm_reds.codegen.arduino_sketch import write_sketch
from tflm_reds.codegen.firmware import Firmware, Samples, SubnetSize, build_firmware
from tflm_reds.codegen.governor.files import worthwhile, write_costs, write_governor
from tflm_reds.codegen.host import HostLibrary
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.program import Program, arena_bytes, flash_bytes
from tflm_reds.codegen.tuning.tune import Tuning, tune
from tflm_reds.codegen.writer import model_identifier, write_sources
from tflm_reds.datasets import Dataset
from tflm_reds.errors import ToolchainError
from tflm_reds.files import staged_folder, write_text
from tflm_reds.litert import FORMS, write_litert
from tflm_reds.litert_runner import check_litert
from tflm_reds.nested_model import NestedModel
from tflm_reds.nesting import nest
from tflm_reds.options import BuildOptions, Task, load_task
from tflm_reds.package import check_packages, package
from tflm_reds.progress import Progress
from tflm_reds.quantization import c_identifier, check_int8_form, quantize
from tflm_reds.quantized import QuantizedNet
from tflm_reds.report import Report, render_markdown
from tflm_reds.report.assemble import BuildFacts, assemble
from tflm_reds.report.costs import subnet_costs
from tflm_reds.sampling import spread
from tflm_reds.sim.protocol import Simulator
from tflm_reds.sim.renode import check_in_renode
from tflm_reds.sim.simulators import choose_simulators, outputs_in, run_simulators
from tflm_reds.training import accuracy, fine_tune, train_float
from tflm_reds.verify import Implementation, comparison_inputs, verify

STAGES = 8
CALIBRATION_SAMPLES = 2000
EMBEDDED_SAMPLES = 3
PACKAGES = ("tflm-reds", "keras", "tensorflow", "numpy", "scipy", "unicorn")


def build(options: BuildOptions) -> Report:
    """Run all stages; results appear in `options.folder` when the last one has ended.

    Raises:
        RedsError: what went wrong, the number, and the way out. Earlier results stay.
    """
    progress = Progress(STAGES + (options.target == "litert"), options.quiet)
    board = load_board(options.board)
    simulators = choose_simulators(options.sim, board)
    keras.utils.set_random_seed(options.seed)
    with staged_folder(options.folder, marker="report.json") as folder:
        task = load_task(options)
        check_int8_form(task.graph)  # before hours of training
        tree = options.tflm_tree
        check_packages(network_name(options), options.package, options.standalone, tree)
        if options.target == "litert":
            check_litert()
        nested = make_nested(task, options, progress)
        nested.save(folder / "nested.keras")
        nested.plan.save(folder / "plan.json")
        net = make_quantized(nested, task.dataset, options, progress)
        net.save(folder / "quantized.npz")
        facts = measure(net, nested, task.dataset, board, simulators, options, folder, progress)
        report = assemble(nested.plan, facts)
        report.save(folder / "report.json")
        write_text(folder / "report.md", render_markdown(report))
        add_governor(report, board, folder / "src")
        if options.target == "litert":
            add_litert(nested, net, task.dataset, report, folder / "litert", progress)
        np.save(folder / "samples.npy", facts.firmware.samples.inputs.reshape(-1, *net.input.shape))
    package(options.folder, options.package, options.standalone, tflm_tree=tree)
    return report


def network_name(options: BuildOptions) -> str:
    """What the C symbols start with."""
    return c_identifier(options.name or options.folder.name)


def make_nested(task: Task, options: BuildOptions, progress: Progress) -> NestedModel:
    """Train the float network if it is not, nest it, and train the subnets jointly."""
    dataset, model = task.dataset, task.model
    with progress.stage("Float network"):
        if task.trained:
            progress.say("trained already")
        else:
            train_float(model, dataset, options.float_epochs)
    with progress.stage("Score, sort, plan, nest"):
        if isinstance(model, NestedModel):
            progress.say("nested already")
        else:
            calibration = _calibration(dataset, options.seed)
            model = nest(model, calibration, options.subnets, **options.planning)
        progress.say(str(model.plan).replace("\n", "\n        "))
    epochs = options.nested_epochs(isinstance(task.model, NestedModel))
    teacher = None if isinstance(task.model, NestedModel) else task.model
    with progress.stage(f"Train all subnets jointly, {epochs} epochs"):
        if epochs:
            fine_tune(
                model, dataset, epochs, options.batch_size, options.joint_rate(task.trained),
                options.distillation, teacher, options.soft_labels, (progress.epochs(epochs),),
                quantization_epochs=options.quantization_epochs,
            )  # fmt: skip
    return model


def make_quantized(
    nested: NestedModel, dataset: Dataset, options: BuildOptions, progress: Progress
) -> QuantizedNet:
    """Quantise to int8 with training data as calibration."""
    with progress.stage("Quantise to int8"):
        x = spread(dataset.inputs, CALIBRATION_SAMPLES)
        net = quantize(nested, x, network_name(options), dataset.labels)
        progress.say(f"one weight set of {net.weight_bytes:,} B for {net.subnet_count} subnets")
    return net


def measure(
    net: QuantizedNet,
    nested: NestedModel,
    dataset: Dataset,
    board: Board,
    simulators: Sequence[Simulator],
    options: BuildOptions,
    folder: Path,
    progress: Progress,
) -> BuildFacts:
    """Generate, compile for host and board, simulate, and compare every implementation."""
    notes: list[str] = []
    x = comparison_inputs(net, dataset.x_test, options.compare, options.seed)
    with progress.stage("Generate C, compile for this host, evaluate"):
        ram = [limit.ram for limit in nested.plan.limits]
        tuning = make_tuning(net, board, options, ram)
        program = lower(net, options.optimize, ram, tuning.chosen)
        progress.say(tuning.note)
        sources = write_sources(program, folder / "src")
        with tempfile.TemporaryDirectory() as temporary:
            host = HostLibrary(program, temporary)
        int8 = int8_accuracies(net, host, dataset)
        floating = [accuracy(o, dataset.y_test) for o in predict(nested, dataset.x_test)]
    names = " and ".join(simulator.name for simulator in simulators)
    with progress.stage(f"Build the image for {board.title}, run it in {names}"):
        samples = Samples.from_net(net, x[:EMBEDDED_SAMPLES])
        firmware = make_firmware(program, sources, samples, board, folder / "firmware")
        runs = run_simulators(simulators, firmware)
        progress.say(f"{firmware.toolchain}; the image's own checks passed")
    with progress.stage(f"Compare all implementations on {len(x)} inputs per subnet"):
        implementations = {"host": lambda x: host_outputs(net, host, x)}
        implementations |= {name: outputs_in(name, firmware) for name in runs}
        implementations |= _tflm_implementations(net, folder / "tflm", options, notes)
        differences = verify(net, x, implementations)
        progress.say(f"zero differing bytes: {', '.join(['numpy', *differences])}")
    with progress.stage("Renode suite"):
        instructions = next(iter(runs.values())).instructions
        verdict = check_in_renode(firmware, sources, instructions, folder / "firmware")
        notes.append(verdict.message)
    return BuildFacts(
        program=program,
        tuning=tuning,
        firmware=firmware,
        runs=runs,
        accuracy_float=tuple(floating),
        accuracy_int8=tuple(int8),
        samples=len(dataset.x_test),
        optimize=options.optimize,
        differences=differences,
        compared_inputs=len(x),
        seed=options.seed,
        notes=tuple(notes),
        versions={name: _version(name) for name in PACKAGES},
    )


def add_governor(report: Report, board: Board, sources: Path) -> None:
    """The governor's C files, and the costs of the subnets where their times were modelled."""
    write_governor(sources)
    if costs := subnet_costs(report):
        samples = report.subnets[0].samples or 0
        write_costs(report.model, board, worthwhile(costs), samples, sources)


def add_litert(
    nested: NestedModel,
    net: QuantizedNet,
    dataset: Dataset,
    report: Report,
    folder: Path,
    progress: Progress,
) -> None:
    """Plain .tflite files of every subnet, run and timed in LiteRT on this machine."""
    references = {
        "float32": [row.accuracy_float for row in report.subnets],
        "int8": [row.accuracy_int8 for row in report.subnets],
    }
    with progress.stage("Write every subnet for LiteRT, run it on this machine"):
        litert = write_litert(nested, net, dataset, references, folder)
        litert.save(folder)
        sizes = [f"{litert.total_bytes(form):,} B as {form}" for form in FORMS]
        progress.say(f"{' and '.join(sizes)}; nested int8 {litert.nested_bytes:,} B")


def make_tuning(
    net: QuantizedNet, board: Board, options: BuildOptions, ram: Sequence[int | None]
) -> Tuning:
    """Kernels by measurement, unless the options or the machine do not allow it."""
    if not options.tuning:
        return Tuning(None, "Kernels were chosen by shape: --no-tuning.")
    return tune(net, board, options.optimize, ram)


def make_firmware(
    program: Program, sources: Sequence[Path], samples: Samples, board: Board, folder: Path
) -> Firmware:
    """The bare image, and for a board with an Arduino core the same run as a sketch."""
    sizes = subnet_sizes(program)
    firmware = build_firmware(sources, model_identifier(program), samples, board, folder, sizes)
    if board.tools.arduino:
        write_sketch(firmware, sources, folder / "sketch")
    return firmware


def subnet_sizes(program: Program) -> tuple[SubnetSize, ...]:
    """Flash and RAM of the model alone in an image cut to each subnet."""
    return tuple(
        SubnetSize(k, sum(flash_bytes(program, k).values()), arena_bytes(program, k))
        for k in range(program.subnet_count)
    )


def _calibration(dataset: Dataset, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """At most CALIBRATION_SAMPLES training samples, drawn by `seed`."""
    count = min(len(dataset.x_train), CALIBRATION_SAMPLES)
    rows = np.random.default_rng(seed).permutation(len(dataset.x_train))[:count]
    return dataset.x_train[rows], dataset.y_train[rows]


def predict(nested: NestedModel, x: np.ndarray) -> list[np.ndarray]:
    """Float outputs of every subnet."""
    return nested.predict(x, verbose=0) if len(x) else [x] * nested.subnet_count


def int8_accuracies(net: QuantizedNet, host: HostLibrary, dataset: Dataset) -> list[float | None]:
    """Test accuracy of every subnet in the generated C."""
    x = net.quantize_input(dataset.x_test)
    outputs = [host.run(x, k) if len(x) else x for k in range(net.subnet_count)]
    return [accuracy(output, dataset.y_test) for output in outputs]


def host_outputs(net: QuantizedNet, host: HostLibrary, x: np.ndarray) -> np.ndarray:
    """Outputs of all subnets in the host-compiled C, int8 [subnets, n, output bytes]."""
    return np.stack([host.run(x, k).reshape(len(x), -1) for k in range(net.subnet_count)])


def _tflm_implementations(
    net: QuantizedNet, folder: Path, options: BuildOptions, notes: list[str]
) -> Mapping[str, Implementation]:
    """Write TFLM's models; its own interpreter, where wheel and the extra `tflm` can be had."""
    try:
        from tflm_reds.tflm_verify import arena_note, implementations, write_models

        models = write_models(net, folder, options.optimize)
        if not options.tflm:
            return {}
        found = implementations(net, models)
        notes.append(arena_note(models))
    except ToolchainError as error:
        notes.append(f"Not compared with TFLM: {error}")
        return {}
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "from a checkout"
