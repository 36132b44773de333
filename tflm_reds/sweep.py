"""`python -m tflm_reds.sweep`: many trials, on this machine or on a Dask cluster, resumable."""

import argparse
import itertools
import json
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tflm_reds.errors import DataError, RedsError, ToolchainError
from tflm_reds.files import write_text
from tflm_reds.trial import Trial, check_options, run_isolated

EPILOG = """\
examples:
  python -m tflm_reds.sweep --out sweeps/digits seed=[0,1,2] epochs=[10,30]
      six trials of the digits network; run it again to resume after a kill
  python -m tflm_reds.sweep sweep.toml --out sweeps/kws --dask tcp://10.0.0.5:8786
      the options of a TOML file, on a Dask cluster whose workers have tflm_reds and the data

NAME=VALUE is a line of TOML. A list gives one trial for each of its items; budgets, which are
lists themselves, take a list of lists: budgets=[[0.25,0.5],[0.3]]. Names are those of
`python -m tflm_reds.build --help`, with _ for -.
"""


class Results:
    """The results of a sweep: one JSON file for each finished trial, written whole or not at all.

    Args:
        folder: of the sweep.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, trial: Trial) -> dict | None:
        """The result of `trial`; None if it has none or its file is damaged."""
        try:
            result = json.loads(self._path(trial).read_text())
            valid = result["options"] == dict(trial.options) and result["status"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            valid = False
        if not valid:
            print(f"{self._path(trial)} is damaged: the trial runs again.", file=sys.stderr)
        return result if valid else None

    def save(self, trial: Trial, result: Mapping[str, Any]) -> None:
        """Write the result of `trial`."""
        write_text(self._path(trial), json.dumps(result, indent=1) + "\n")

    def _path(self, trial: Trial) -> Path:
        return self.folder / f"{trial.key}.json"


def make_trials(options: Mapping[str, Any]) -> list[Trial]:
    """The grid of all lists in `options`; `budgets` counts as one only if it holds lists.

    Raises:
        DataError: for an unknown option or an empty list.
    """
    check_options(set(options))
    axes = {name: _axis(name, value) for name, value in options.items()}
    if empty := [name for name, values in axes.items() if not values]:
        raise DataError(f"{empty[0]}=[] leaves no trial. Give it a value.")
    return [Trial(dict(zip(axes, values, strict=True)))
            for values in itertools.product(*axes.values())]  # fmt: skip


def _axis(name: str, value: Any) -> list:
    lists = name in ("budgets", "pixel_range")
    if not isinstance(value, list) or (lists and not any(isinstance(v, list) for v in value)):
        return [value]
    return value


def run_trials(
    trials: Sequence[Trial],
    results: Results,
    jobs: int = 1,
    dask: str | None = None,
    retry_failed: bool = False,
) -> list[dict]:
    """Run what has no result yet; save each result as it comes; return all, in order.

    Raises:
        OutputError: if a result cannot be written.
        ToolchainError: if Dask is missing or its scheduler does not answer.
    """
    done = {trial.key: results.load(trial) for trial in trials}
    todo = [t for t in trials if done[t.key] is None
            or (retry_failed and done[t.key]["status"] == "failed")]  # fmt: skip
    start = time.monotonic()
    runner = _on_dask(todo, dask) if dask else _locally(todo, jobs)
    for count, (trial, result) in enumerate(runner, 1):
        done[trial.key] = result
        results.save(trial, result)
        seconds = time.monotonic() - start
        print(f"[{count}/{len(todo)}] {seconds:.0f} s  {_summary(result)}", file=sys.stderr)
    return [done[trial.key] for trial in trials]


def _locally(trials: Sequence[Trial], jobs: int) -> Iterator[tuple[Trial, dict]]:
    # The threads only wait for the trials' own processes.
    children: set[subprocess.Popen] = set()
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(run_isolated, t.options, children): t for t in trials}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in tuple(children):
                child.kill()


def _on_dask(trials: Sequence[Trial], address: str) -> Iterator[tuple[Trial, dict]]:
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise ToolchainError(
            "A Dask cluster needs the extra: pip install 'tflm-reds[distributed]'."
        ) from error
    try:
        client = distributed.Client(address, timeout=20)
    except (OSError, ValueError) as error:
        raise ToolchainError(
            f"No Dask scheduler answers at {address} ({error}). Start one with `dask scheduler`, "
            "and workers with `dask worker ADDRESS`."
        ) from error
    with client:
        futures = {client.submit(run_isolated, t.options, pure=False): t for t in trials}
        for future in distributed.as_completed(futures):
            yield futures[future], _dask_result(future, futures[future])


def _dask_result(future, trial: Trial) -> dict:
    """A worker that died becomes a failed trial."""
    if error := future.exception():
        return {"options": dict(trial.options), "status": "failed",
                "error": f"{type(error).__name__}: {error}"}  # fmt: skip
    return future.result()


def render(trials: Sequence[Trial], results: Sequence[Mapping[str, Any]]) -> str:
    """A line for each trial: the options that differ, and int8 accuracy by subnet."""
    names = [n for n in trials[0].options if len({json.dumps(t.options[n]) for t in trials}) > 1]
    return "\n".join(
        "  ".join([*(f"{name}={trial.options[name]}" for name in names), _summary(result)])
        for trial, result in zip(trials, results, strict=True)
    )


def _summary(result: Mapping[str, Any]) -> str:
    if result["status"] != "done":
        return f"FAILED: {result['error']}"
    cells = [(f"{100 * s['budget']:g} %", s["accuracy_int8"]) for s in result["subnets"]]
    shown = [f"{name}: {'-' if value is None else f'{value:.4f}'}" for name, value in cells]
    return f"int8 accuracy at {', '.join(shown)}"


def parse_options(file: Path | None, assignments: Sequence[str]) -> dict[str, Any]:
    """Options of the TOML file, overridden by NAME=VALUE.

    Raises:
        DataError: if either is no TOML.
    """
    try:
        options = tomllib.loads(file.read_text()) if file else {}
        for text in assignments:
            options |= tomllib.loads(text)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise DataError(
            f"Not an option of a sweep: {error}. Write NAME=VALUE as in TOML; strings in quotes: "
            "zoo='\"dnn_s_kws\"'."
        ) from error
    return options


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tflm_reds.sweep",
        description="Train and quantise a grid of seeds, budgets and training options.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("options", nargs="*", help="a .toml file and NAME=VALUE")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time (default: 1)")
    parser.add_argument("--dask", metavar="ADDRESS", help="of a Dask scheduler, instead of --jobs")
    parser.add_argument("--retry-failed", action="store_true", help="run failed trials again")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if every trial is done, 1 if some failed, or the error's code."""
    parsed = parse_arguments(arguments)
    files = [Path(text) for text in parsed.options if "=" not in text]
    try:
        if len(files) > 1:
            raise DataError(f"One .toml file at most, got {len(files)}.")
        assignments = [text for text in parsed.options if "=" in text]
        trials = make_trials(parse_options(files[0] if files else None, assignments))
        results = run_trials(
            trials, Results(parsed.out), max(1, parsed.jobs), parsed.dask, parsed.retry_failed
        )
    except RedsError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"\nInterrupted. Finished trials are in {parsed.out}; the same command resumes.",
              file=sys.stderr)  # fmt: skip
        return 130
    print(render(trials, results))
    return 0 if all(result["status"] == "done" for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
