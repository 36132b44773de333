"""Speech Commands (arXiv 1804.03209) from its wav files, version 0.02 as it is unpacked.

A folder for each word, and `_background_noise_`. Which clips train, select and test is told by a
hash of their speaker, so that no speaker is in two parts. Silence and unknown words are a tenth of
the wanted words each, drawn as in the reference (its random seed, over sorted file names).
"""

import hashlib
import math
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tflm_reds.datasets.audio import CLIP, mfcc, read_wav, vary
from tflm_reds.datasets.dataset import Dataset
from tflm_reds.datasets.files import data_directory
from tflm_reds.datasets.keyword_spotting import shaped
from tflm_reds.errors import DataError

FOLDER = "speech_commands_v0.02"
NOISE_FOLDER = "_background_noise_"
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
LABELS = ("_silence_", "_unknown_", *WORDS)
SILENCE, UNKNOWN = 0, 1
PARTS = ("train", "validation", "test")
HASHES = 2**27 - 1
VALIDATION_PERCENT = TEST_PERCENT = 10
EXTRA_SHARE = 0.1  # of silence, and of unknown words
REFERENCE_SEED = 59185
BATCH = 256

Clip = tuple[Path | None, int]
"""A wav file, None for silence, and its class."""


def load_speech_commands(
    folder: str | Path, *, frames: str = "all", variants: int = 3, seed: int = 0
) -> Dataset:
    """MFCCs of all clips in `folder`, divided by speaker 80/10/10.

    Args:
        frames: "all", inputs (49, 10, 1); or "every second", inputs (250,) for the DNN.
        variants: of each training clip to append, shifted and with background noise.
        seed: of the variants.

    Raises:
        DataError: if the folder lacks a word, or a file is broken; it names it.
    """
    folder = Path(folder)
    clips = divide(folder)
    x, y = {}, {}
    for part in PARTS:
        x[part] = _features(clips[part])
        y[part] = np.array([label for _, label in clips[part]], np.int64)
    generator = np.random.default_rng(seed)
    noises = _noises(folder) if variants else []
    more = [_features(clips["train"], noises, generator) for _ in range(variants)]
    return Dataset(
        name="speech_commands",
        x_train=shaped(np.concatenate([x["train"], *more]), frames),
        y_train=np.tile(y["train"], 1 + variants),
        x_validation=shaped(x["validation"], frames),
        y_validation=y["validation"],
        x_test=shaped(x["test"], frames),
        y_test=y["test"],
        labels=LABELS,
    )


def load_speech_commands_from(data_dir: str | Path | None, **options) -> Dataset:
    """`load_speech_commands` of the folder `speech_commands_v0.02` in the data directory."""
    directory = data_directory(data_dir)
    if directory is None or not (directory / FOLDER).is_dir():
        where = directory or "No data directory"
        raise DataError(
            f"{where} holds no folder {FOLDER}. Unpack speech_commands_v0.02.tar.gz there, or use "
            "the packed features: the data sets kws and kws_25_frames."
        )
    return load_speech_commands(directory / FOLDER, **options)


def divide(folder: Path) -> dict[str, list[Clip]]:
    """The clips of each part: the wanted words, and a tenth each of silence and unknown words.

    Raises:
        DataError: if there is no folder for a wanted word, or it is empty.
    """
    wanted: dict[str, list[Clip]] = {part: [] for part in PARTS}
    unknown: dict[str, list[Clip]] = {part: [] for part in PARTS}
    for path in sorted(folder.glob("*/*.wav")):
        word = path.parent.name.lower()
        if word in WORDS:
            wanted[part_of(path.name)].append((path, LABELS.index(word)))
        elif not word.startswith("_"):
            unknown[part_of(path.name)].append((path, UNKNOWN))
    found = {label for clips in wanted.values() for _, label in clips}
    if missing := [word for word in WORDS if LABELS.index(word) not in found]:
        raise DataError(f"{folder} holds no wav files of {', '.join(missing)}. Unpack it again.")
    draw = random.Random(REFERENCE_SEED)
    for part in ("validation", "test", "train"):
        count = math.ceil(EXTRA_SHARE * len(wanted[part]))
        draw.shuffle(unknown[part])
        wanted[part] += [(None, SILENCE)] * count + unknown[part][:count]
    return wanted


def part_of(name: str) -> str:
    """The part that a clip belongs to, by the SHA-1 of its speaker (the name before `_nohash_`)."""
    speaker = re.sub(r"_nohash_.*$", "", name)
    number = int(hashlib.sha1(speaker.encode(), usedforsecurity=False).hexdigest(), 16)
    percent = number % (HASHES + 1) * 100 / HASHES
    if percent < VALIDATION_PERCENT:
        return "validation"
    return "test" if percent < VALIDATION_PERCENT + TEST_PERCENT else "train"


def _features(
    clips: Sequence[Clip],
    noises: list[np.ndarray] | None = None,
    generator: np.random.Generator | None = None,
) -> np.ndarray:
    """MFCCs [n, 49, 10] of the clips; with a generator, of one variant of each."""
    batches = [
        mfcc(audio if generator is None else vary(audio, noises or [], generator)).numpy()
        for audio in _batches(clips)
    ]
    return np.concatenate(batches)


def _batches(clips: Sequence[Clip]) -> Iterator[np.ndarray]:
    silence = np.zeros(CLIP, np.float32)
    for start in range(0, len(clips), BATCH):
        paths = [path for path, _ in clips[start : start + BATCH]]
        yield np.stack([silence if path is None else read_wav(path, CLIP) for path in paths])


def _noises(folder: Path) -> list[np.ndarray]:
    paths = sorted((folder / NOISE_FOLDER).glob("*.wav"))
    if not paths:
        raise DataError(
            f"{folder} holds no {NOISE_FOLDER}/*.wav to vary training clips with. Unpack it "
            "again, or ask for variants=0."
        )
    noises = [read_wav(path) for path in paths]
    for path, noise in zip(paths, noises, strict=True):
        if len(noise) <= CLIP:
            raise DataError(f"{path} has {len(noise)} samples; noise takes more than {CLIP}.")
    return noises
