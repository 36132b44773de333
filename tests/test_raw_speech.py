"""Speech Commands from wav files: features, division by speaker, silence, variants."""

import wave

import numpy as np
import pytest
from real_data import DATA, needs_speech_commands

from tflm_reds.datasets import load_dataset, load_speech_commands
from tflm_reds.datasets.audio import mfcc, read_wav, vary
from tflm_reds.datasets.speech_commands import LABELS, PARTS, WORDS, divide, part_of
from tflm_reds.errors import DataError

UNKNOWN_WORDS = ("bed", "cat")


def write_wav(path, samples, rate=16_000):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(32767 * samples).astype("<i2").tobytes())


def speakers(part: str, count: int) -> list[str]:
    """Names that the hash puts into `part`."""
    names = (f"{number:08x}" for number in range(1000))
    return [name for name in names if part_of(f"{name}_nohash_0.wav") == part][:count]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """20 clips of each word: 10 train, 6 select, 4 test; half a second of a tone each."""
    folder = tmp_path_factory.mktemp("speech_commands_v0.02")
    names = [n for part, k in zip(PARTS, (10, 6, 4), strict=True) for n in speakers(part, k)]
    time = np.arange(8000) / 16_000
    for pitch, word in enumerate((*WORDS, *UNKNOWN_WORDS)):
        for name in names:
            tone = 0.5 * np.sin(2 * np.pi * (200 + 150 * pitch) * time)
            write_wav(folder / word / f"{name}_nohash_0.wav", tone)
    noise = np.random.default_rng(0).uniform(-1, 1, 40_000)
    write_wav(folder / "_background_noise_" / "noise.wav", noise)
    return folder


@needs_speech_commands
def test_digital_silence_has_the_packed_features():
    stored = np.load(DATA / "kws_speech_commands_mfcc.npz")
    silence = mfcc(np.zeros((2, 16_000), np.float32)).numpy()
    np.testing.assert_array_equal(silence[1], stored["mfcc_zero_audio"])


@needs_speech_commands
def test_every_packed_speaker_is_in_the_part_that_the_hash_tells():
    stored = np.load(DATA / "kws_speech_commands_mfcc.npz")
    known = stored["speaker_idx"] < len(stored["speakers"])
    names = stored["speakers"][stored["speaker_idx"][known]]
    utterances = stored["utterance"][known]
    found = [part_of(f"{name}_nohash_{n}.wav") for name, n in zip(names, utterances, strict=True)]
    assert found == [PARTS[part] for part in stored["official_split"][known]]


def test_features_are_logarithmic_and_local():
    random = np.random.default_rng(0)
    clip = (0.1 * random.standard_normal((1, 16_000))).astype(np.float32)
    step = mfcc(2 * clip).numpy() - mfcc(clip).numpy()
    # The first of the cosine transform's outputs sums 40 logarithms, scaled by sqrt(2 / 40).
    np.testing.assert_allclose(step[0, :, 0], np.log(2) * 40 * np.sqrt(2 / 40), atol=1e-3)
    np.testing.assert_allclose(step[0, :, 1:], 0, atol=1e-3)
    changed = clip.copy()
    changed[0, 7000] += 0.5
    frames = np.flatnonzero(np.abs(mfcc(changed).numpy() - mfcc(clip).numpy()).max((0, 2)) > 1e-4)
    assert frames.tolist() == [20, 21]  # 7000 lies in [6400, 7040) and [6720, 7360)


def test_division_silence_and_unknown_words(folder):
    clips = divide(folder)
    for part, wanted in zip(PARTS, (100, 60, 40), strict=True):
        labels = np.array([label for _, label in clips[part]])
        tenth = wanted // 10
        assert np.bincount(labels).tolist() == [tenth, tenth, *[wanted // 10] * 10]
        paths = [path for path, _ in clips[part] if path is not None]
        assert {part_of(path.name) for path in paths} == {part}
        assert len(set(paths)) == len(paths)


def test_data_set_from_wav_files(folder):
    data = load_speech_commands(folder, variants=2)
    assert data.labels == LABELS and len(LABELS) == 12
    assert data.x_train.shape == (3 * 120, 49, 10, 1)
    assert (len(data.x_validation), len(data.x_test)) == (72, 48)
    silence = mfcc(np.zeros((1, 16_000), np.float32)).numpy()[0]
    originals, variants = data.x_train[:120, ..., 0], data.x_train[120:, ..., 0]
    assert (originals[data.y_train[:120] == 0] == silence).all()
    assert np.abs(variants[data.y_train[120:] == 0] - silence).max() > 1  # noise alone
    np.testing.assert_array_equal(data.y_train[:120], data.y_train[240:])
    assert (np.abs(variants[:120] - originals).max((1, 2)) > 0.1).mean() > 0.9
    again = load_speech_commands(folder, variants=2)
    np.testing.assert_array_equal(again.x_train, data.x_train)


def test_dense_net_gets_every_second_frame(folder):
    whole = load_speech_commands(folder, variants=0)
    half = load_speech_commands(folder, variants=0, frames="every second")
    np.testing.assert_array_equal(half.x_test.reshape(-1, 25, 10), whole.x_test[:, ::2, :, 0])


def test_variants_are_shifted_by_at_most_100_ms():
    clips = np.zeros((300, 16_000), np.float32)
    clips[:, 8000] = 1
    peaks = vary(clips, [], np.random.default_rng(0)).argmax(1) - 8000
    assert -1600 <= peaks.min() < -1500 and 1500 < peaks.max() < 1600
    loud = vary(clips, [np.full(20_000, 3.0)], np.random.default_rng(0))
    levels = np.median(loud, axis=1)
    assert loud.max() == 1 and 0.2 < levels.max() <= 0.3
    assert 0.7 < (levels > 0).mean() < 0.9


def test_clips_are_padded_and_cut(tmp_path):
    write_wav(tmp_path / "short.wav", np.full(100, 0.5))
    write_wav(tmp_path / "long.wav", np.full(20_000, 0.5))
    short, long = (read_wav(tmp_path / f"{name}.wav", 16_000) for name in ("short", "long"))
    assert short.shape == long.shape == (16_000,)
    assert (np.count_nonzero(short), np.count_nonzero(long)) == (100, 16_000)
    assert long[0] == pytest.approx(0.5, abs=1e-4)


def test_broken_files_are_named(folder, tmp_path):
    write_wav(tmp_path / "slow.wav", np.zeros(100), rate=8000)
    with pytest.raises(DataError, match=r"slow\.wav has 8000 samples per second; 16000"):
        read_wav(tmp_path / "slow.wav")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"broken\.wav is no intact 16-bit PCM wav file"):
        read_wav(tmp_path / "broken.wav")
    with pytest.raises(DataError, match=r"absent\.wav"):
        read_wav(tmp_path / "absent.wav")


def test_incomplete_folders_are_refused(folder, tmp_path):
    with pytest.raises(DataError, match=r"holds no folder speech_commands_v0\.02"):
        load_dataset("speech_commands", tmp_path)
    with pytest.raises(DataError, match="no wav files of yes, no, up"):
        load_speech_commands(tmp_path)
    partial = tmp_path / "speech_commands_v0.02"
    for word in WORDS[:-1]:
        (partial / word).parent.mkdir(exist_ok=True)
        (partial / word).symlink_to(folder / word)
    with pytest.raises(DataError, match="no wav files of go"):
        load_dataset("speech_commands", tmp_path)
    (partial / "go").symlink_to(folder / "go")
    with pytest.raises(DataError, match="_background_noise_"):
        load_dataset("speech_commands", tmp_path)
