import pytest

from tflm_reds.boards.schema import FOLDER, available_boards, load_board
from tflm_reds.errors import BoardError

NANO = (FOLDER / "nano33ble.toml").read_text()


def changed(tmp_path, old: str, new: str):
    assert old in NANO
    path = tmp_path / "changed.toml"
    path.write_text(NANO.replace(old, new))
    return path


def test_nano33ble():
    board = load_board("nano33ble")
    assert board.core_features.has_fpu and board.core_features.has_dsp
    assert board.clock_hz == 64_000_000
    assert board.flash.end == 0x100000
    assert board.image_flash_bytes == 983_040  # what arduino-cli prints as the maximum
    assert board.ram.size == 262_144
    assert {"unicorn", "renode"} <= set(board.tools.simulators)


@pytest.mark.parametrize("name", available_boards())
def test_every_board_loads_under_its_own_name(name):
    assert load_board(name).name == name


def test_a_board_file_of_the_user(tmp_path):
    path = changed(tmp_path, 'name = "nano33ble"', 'name = "mine"')
    assert load_board(path).name == "mine"


def test_what_no_document_tells_is_left_out(tmp_path):
    start, end = NANO.index("[timing]"), NANO.index("[tools]")
    board = load_board(changed(tmp_path, NANO[start:end], ""))
    assert board.energy is None
    assert board.timing.refill is None and board.timing.data_wait_states == (0, 0)
    nano = load_board("nano33ble")
    assert nano.energy.power_mw == pytest.approx((3.3 * 3.3, 3.3 * 7.6))


def test_unknown_board_lists_the_known_ones():
    with pytest.raises(BoardError, match=r"No board nano34\. Available: .*nano33ble"):
        load_board("nano34")


def test_not_toml(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("name = ")
    with pytest.raises(BoardError, match="not valid TOML"):
        load_board(path)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("clock_hz = 64_000_000", "", "lacks the key clock_hz"),
        ("uarte_tx_pin = 35", "", "peripherals lacks the key uarte_tx_pin"),
        ("stack_bytes = 4096", "stack_bytes = 4096\ncolour = 3", "unknown key colour"),
        ("clock_hz = 64_000_000", 'clock_hz = "fast"', "clock_hz must be of type int"),
        ("clock_hz = 64_000_000", "clock_hz = true", "clock_hz must be of type int"),
        ("clock_hz = 64_000_000", "clock_hz = -1", "clock_hz must be positive"),
        ("data_wait_states = [0, 2]", "data_wait_states = [0]", "list of 2 values"),
        ("data_wait_states = [0, 2]", "data_wait_states = [2, 0]", "states 2, 0 must be ordered"),
        ("data_wait_states = [0, 2]", "refill = [-1, 0]", "refill -1, 0 must be ordered"),
        ("fetch_wait_states = [0, 3]", "load = [1, inf]", "load 1, inf must be ordered"),
        ("cache_bytes = 2048", "cache_bytes = 2000", "2000 bytes in lines of 16: powers of 2"),
        ("cache_line_bytes = 16", "", "2048 bytes in lines of 0"),
        ("voltage_v = 3.3", "voltage_v = 0", "voltage_v must be positive"),
        ("[3.3, 7.6]", "[7.6, 3.3]", "active_current_ma 7.6, 3.3 must be ordered"),
        ('simulators = ["unicorn", "renode"]', 'simulators = "unicorn"', "must be a list"),
        ('core = "cortex-m4f"', 'core = "z80"', "core z80 is unknown"),
        ('chip = "nrf52840"', 'chip = "none"', "has no chip_none.c"),
        ("image_origin = 0x10000", "image_origin = 0x200000", "is not in flash"),
        ("image_origin = 0x10000", "image_origin = 0x10100", "multiple of 512"),
        ("stack_bytes = 4096", "stack_bytes = 4095", "multiple of 8"),
        ("stack_bytes = 4096", "stack_bytes = 0x40000", "within ram"),
        ("size = 0x40000", "size = 0", "sizes must be positive"),
        ('uart = "uart0"', 'port = "uart0"', "renode has the unknown key port"),
        ("init = [ ", "init = [3, ", "init must be of type str"),
        ('{ name = "nvmc", ', "{ ", "registers lacks the key name"),
        ("[energy]", "[power]", "unknown key power"),
        ("[tools]", "[tool]", "lacks the key tools"),
    ],
)
def test_invalid_boards_are_refused(tmp_path, old, new, message):
    with pytest.raises(BoardError, match=message):
        load_board(changed(tmp_path, old, new))
