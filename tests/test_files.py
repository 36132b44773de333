"""Files appear whole or not at all; a build folder is swapped in when everything succeeded."""

import pytest

from tflm_reds.errors import OutputError
from tflm_reds.files import atomic_path, staged_folder, write_text


def test_failed_write_keeps_the_old_file(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_folder_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Choose a writable folder"):
        write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(OutputError, match="Choose a writable folder"), \
            staged_folder(tmp_path / "file" / "out", "m"):  # fmt: skip
        pass


def test_staged_folder_replaces_the_old_one_whole(tmp_path):
    out = tmp_path / "out"
    for name in ("first", "second"):
        with staged_folder(out, "marker") as folder:
            (folder / "marker").write_text("")
            (folder / name).write_text(name)
    assert sorted(path.name for path in out.iterdir()) == ["marker", "second"]


def test_a_folder_of_other_things_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="holds other files"), staged_folder(tmp_path, "marker"):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_interrupted_build_keeps_earlier_results(tmp_path, error):
    out = tmp_path / "out"
    with staged_folder(out, "report.json") as folder:
        (folder / "report.json").write_text("good")
    with pytest.raises(error), staged_folder(out, "report.json") as folder:
        (folder / "nested.keras").write_text("partial")
        raise error
    assert [path.name for path in out.iterdir()] == ["report.json"]
    # What was done so far can be looked at, and does not disturb the next build.
    assert (tmp_path / "out.partial" / "nested.keras").exists()
    with staged_folder(out, "report.json") as folder:
        assert not list(folder.iterdir())
