"""The governor's C against a reference in Python, its promises, and what it takes on real cores."""

import struct
import subprocess
from dataclasses import astuple, dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import CortexM
from tiny_model import target_compilers

from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.governor.files import (
    FOLDER,
    SubnetCost,
    worthwhile,
    write_costs,
    write_governor,
)
from tflm_reds.codegen.governor.library import UNLIMITED, Governor, GovernorLibrary
from tflm_reds.codegen.toolchain import host_compiler
from tflm_reds.errors import DataError, OutputError

KERNELS = FOLDER.parent / "kernels"
NO_LIMIT = 2**30  # limits from here on are none


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return GovernorLibrary(tmp_path_factory.mktemp("governor"))


@dataclass
class Reference:
    """The rules of reds_governor.h, in exact integers and by comprehension."""

    costs: list[SubnetCost]
    position: int = 0
    fits: bool = False
    speed: int = 4096

    def choose(self, deadline_us=UNLIMITED, energy_uj=UNLIMITED, battery_permille=1000) -> int:
        scaled = [
            value * self.speed // 4096 if value < NO_LIMIT else UNLIMITED
            for value in (deadline_us, energy_uj)
        ]
        limits = [*scaled, self._share(battery_permille)]
        roomy = [limit - limit // 8 for limit in limits]
        fitting = {
            k
            for k in range(len(self.costs))
            if self._within(k, limits) and (k <= self.position or self._within(k, roomy))
        }
        self.fits = bool(fitting)
        self.position = max(fitting, default=0)
        return self.costs[self.position].subnet

    def measured(self, subnet: int, time_us: int) -> None:
        expected = next(cost.time_us for cost in self.costs if cost.subnet == subnet)
        halvings = max(expected.bit_length() - 20, 0)
        expected, time_us = expected >> halvings, time_us >> halvings
        speed = 4096 * expected // time_us if time_us else 4 * 4096
        speed = min(max(speed, 256), 4 * 4096)
        self.speed = min(speed, self.speed + (speed - self.speed) // 8)

    def _share(self, permille: int) -> int:
        range_uj = self.costs[-1].energy_uj - self.costs[0].energy_uj
        return range_uj * (permille * 6292 // 1024) // 4096 if permille < 1000 else 2 * NO_LIMIT

    def _within(self, k: int, limits: list[int]) -> bool:
        cost, cheapest = self.costs[k], self.costs[0].energy_uj
        values = (cost.time_us, cost.energy_uj, cost.energy_uj - cheapest)
        return all(value <= limit for value, limit in zip(values, limits, strict=True))


def cost_tables(top: int) -> st.SearchStrategy:
    """Up to ten sorted costs of shuffled subnets."""

    def table(values):
        times, energies, subnets = zip(*values, strict=True)
        rows = zip(subnets, sorted(times), sorted(energies), strict=True)
        return [SubnetCost(*row) for row in rows]

    row = st.tuples(*[st.integers(0, top)] * 2, st.integers(0, 99))
    return st.lists(row, min_size=1, max_size=10, unique_by=lambda row: row[2]).map(table)


resources = st.fixed_dictionaries(
    {},
    optional={
        "deadline_us": st.integers(0, 2500) | st.integers(0, UNLIMITED),
        "energy_uj": st.integers(0, 2500) | st.integers(0, UNLIMITED),
        "battery_permille": st.integers(0, 1100),
    },
)


@settings(max_examples=300)
@given(
    costs=cost_tables(2000) | cost_tables(NO_LIMIT - 1),
    steps=st.lists(resources | st.tuples(st.integers(0, 9), st.integers(0, UNLIMITED))),
)
def test_equals_the_reference(library, costs, steps):
    """Any decisions and measurements in any order."""
    governor, reference = Governor(library, costs), Reference(costs)
    for step in steps:
        if isinstance(step, dict):
            assert governor.choose(**step) == reference.choose(**step)
            assert governor.fits == reference.fits
        else:
            subnet = costs[step[0] % len(costs)].subnet
            governor.measured(subnet, step[1])
            reference.measured(subnet, step[1])
            assert governor.speed * 4096 == reference.speed


@given(costs=cost_tables(2000), first=resources, lowest=st.integers(1, 2500), data=st.data())
def test_noise_within_the_margin_never_oscillates(library, costs, first, lowest, data):
    """All limits anywhere in the widest band that is promised, in any order of values."""
    highest = max(h for h in range(lowest, 2 * lowest + 8) if h - h // 8 <= lowest)
    noise = st.integers(lowest, highest)
    noisy = data.draw(st.lists(st.tuples(noise, noise), min_size=2, max_size=60))
    governor = Governor(library, costs)
    order = [cost.subnet for cost in costs]
    chosen = [order.index(governor.choose(**first))]
    chosen += [order.index(governor.choose(time, energy)) for time, energy in noisy]
    assert chosen in (sorted(chosen), sorted(chosen, reverse=True))


@given(costs=cost_tables(2000), first=resources, small=resources, more=st.integers(0, 3000))
def test_more_never_gives_less(library, costs, first, small, more):
    """Steady choices from any state: raising every limit never makes the subnet cheaper."""
    positions, order = [], [cost.subnet for cost in costs]
    for available in (small, {key: value + more for key, value in small.items()}):
        governor = Governor(library, costs)
        governor.choose(**first)
        governor.choose(**available)
        steady = governor.choose(**available)
        assert governor.choose(**available) == steady
        positions.append(order.index(steady))
    assert positions[0] <= positions[1]


@given(costs=cost_tables(2000), steps=st.lists(resources, min_size=1))
def test_what_is_chosen_fits_if_anything_does(library, costs, steps):
    governor, table = Governor(library, costs), {cost.subnet: cost for cost in costs}
    for step in steps:
        chosen = table[governor.choose(**step)]
        deadline, energy = step.get("deadline_us", NO_LIMIT), step.get("energy_uj", NO_LIMIT)
        possible = costs[0].time_us <= deadline and costs[0].energy_uj <= energy
        assert governor.fits == possible
        assert chosen == costs[0] or (chosen.time_us <= deadline and chosen.energy_uj <= energy)


def test_battery_from_full_to_empty_and_back(library):
    costs = [SubnetCost(k, 100 * k, 1000 + 300 * k) for k in range(4)]
    governor = Governor(library, costs)
    falling = [governor.choose(battery_permille=level) for level in range(1000, -1, -1)]
    assert falling[1000 - 667] == 3 and falling[1000 - 666] == 2 and falling[-1] == 0
    assert falling == sorted(falling, reverse=True) and set(falling) == {0, 1, 2, 3}
    rising = [governor.choose(battery_permille=level) for level in range(1001)]
    assert rising == sorted(rising) and rising[0] == 0 and rising[-1] == 3
    behind = [down - up for up, down in zip(rising, reversed(falling), strict=True)]
    assert min(behind) == 0 and max(behind) == 1


def test_a_slow_device_is_learnt_and_forgotten(library):
    """30 % slower than modelled: one late result, then none. Faster again: the subnet returns."""
    costs = [SubnetCost(k, 10_000 * (k + 1), 1000 * (k + 1)) for k in range(4)]
    governor = Governor(library, costs)
    late = 0
    for _ in range(50):
        actual = costs[governor.choose(deadline_us=47_000)].time_us * 13 // 10
        late += actual > 47_000
        governor.measured(governor.subnet, actual)
    assert late == 1 and governor.subnet == 2 and governor.speed == pytest.approx(1 / 1.3, abs=1e-3)
    for _ in range(50):
        governor.measured(governor.choose(deadline_us=47_000), costs[governor.subnet].time_us)
    assert governor.subnet == 3 and governor.speed == pytest.approx(1, abs=2e-3)


def test_subnets_never_worth_choosing_are_left_out():
    dear = SubnetCost(2, 30, 3, 900)
    costs = [SubnetCost(0, 10, 1, 800), SubnetCost(1, 20, 2, 900), dear, SubnetCost(3, 40, 4, 950)]
    assert worthwhile(costs) == (costs[0], costs[1], costs[3])
    unknown = [SubnetCost(cost.subnet, cost.time_us, cost.energy_uj) for cost in costs]
    assert worthwhile(unknown) == tuple(unknown)
    slower = [SubnetCost(0, 11, 2), SubnetCost(1, 10, 1)]
    assert worthwhile(slower) == (slower[1],)


def test_refuses_bad_arguments(library):
    for costs in ([], [SubnetCost(0, 2, 1), SubnetCost(1, 1, 1)], [SubnetCost(0, -1, 1)],
                  [SubnetCost(0, 1, 2), SubnetCost(1, 1, 1)], [SubnetCost(0, NO_LIMIT, 1)],
                  ):  # fmt: skip
        with pytest.raises(DataError):
            Governor(library, costs)
    governor = Governor(library, [SubnetCost(1, 1, 1), SubnetCost(4, 2, 2)])
    with pytest.raises(DataError, match=r"status 3 .* \[1, 4\]"):
        governor.measured(2, 5)
    assert library.functions.reds_governor_init(None, None, 1) == 1
    assert library.functions.reds_governor_choose(None, None) == 1
    assert library.functions.reds_governor_measured(None, 0, 0) == 1


def decisions(count: int) -> list[tuple[int, int, int]]:
    """(deadline, energy, battery): every limit there but ample, none, and a mixture."""
    mixed = [(i * 7919 % 100_000, i * 104_729 % 8000, 450 + i * 31 % 600) for i in range(count)]
    return [(10**6, 10**6, 999), (10**6, 10**6, 999), (UNLIMITED,) * 3, (0, 0, 0), *mixed]


@pytest.mark.parametrize("subnets", [4, 8])
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4f"])
@pytest.mark.parametrize("compiler", target_compilers(), ids=lambda c: c.version[:12])
def test_a_decision_takes_fewer_than_200_instructions(core, subnets, compiler, tmp_path):
    """Simulated, in each of the two compilers' code; the decisions are the reference's."""
    machine = CortexM([FOLDER / "reds_governor.c"], tmp_path, core=core, compiler=compiler)
    costs = [SubnetCost(k, 9000 * k, 700 * k) for k in range(1, subnets + 1)]
    table = b"".join(struct.pack("<4I", *astuple(cost)) for cost in costs)
    governor = machine.place(bytes(28))
    assert machine.call("reds_governor_init", governor, machine.place(table, True), subnets) == 0
    reference = Reference(costs)
    for limits in decisions(40):
        available = machine.place(struct.pack("<3I", *limits))
        assert machine.count_instructions("reds_governor_choose", governor, available) < 200
        subnet, fits = struct.unpack("<2i", machine.read(governor + 12, 8))
        assert (subnet, fits) == (reference.choose(*limits), reference.fits)
        machine.call("reds_governor_measured", governor, subnet, 9500 * subnet)
        reference.measured(subnet, 9500 * subnet)


def test_c_files_compile_strictly_as_c_and_cpp(tmp_path):
    """Generated costs included; the object holds no variable and calls nothing."""
    costs = [SubnetCost(0, 900, 5, 871), SubnetCost(3, 1900, 9, 902)]
    board = load_board("nano33ble")
    paths = [*write_governor(tmp_path), *write_costs("reds", board, costs, 976, tmp_path)]
    text = (tmp_path / "model_reds_costs.c").read_text()
    assert "{0, 900, 5, 871},\n    {3, 1900, 9, 902},\n" in text
    assert "64 MHz" in (tmp_path / "model_reds_costs.h").read_text()
    user = '#include "model_reds_costs.h"\nstatic_assert(MODEL_REDS_COSTS == 2, "");\n'
    (tmp_path / "user.cpp").write_text(user)
    strict = ["-Wall", "-Wextra", "-Werror", "-Wpedantic", "-Wconversion", f"-I{KERNELS}"]
    command = [*host_compiler().command, *strict, "-c"]
    for path in [path for path in paths if path.suffix == ".c"]:
        subprocess.run([*command, "-std=c11", path.name], cwd=tmp_path, check=True)
    subprocess.run([*command, "-std=c++14", "user.cpp"], cwd=tmp_path, check=True)
    symbols = subprocess.run(
        ["nm", "reds_governor.o"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    kinds = {line.split()[-2] for line in symbols.stdout.splitlines()}
    assert kinds <= {"T", "t"}, symbols.stdout


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="writable folder"):
        write_governor(tmp_path / "file" / "src")


def test_costs_of_a_table_are_sorted_by_the_writer(tmp_path):
    costs = [SubnetCost(0, 2, 1), SubnetCost(1, 1, 1)]
    with pytest.raises(DataError, match=r"worthwhile"):
        write_costs("kws", load_board("nano33ble"), costs, 10, tmp_path)
    assert not list(tmp_path.iterdir())
