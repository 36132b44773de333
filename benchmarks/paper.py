"""What the paper reports (IEEE TMC 25(1):451 and its supplement), to stand beside our rows.

Accuracies are test accuracies in per cent of float networks, means over the authors' runs, by the
*label* of the subnet. A label is not a share of the true MACs: the authors charge dense and CNN
units at the full input width and leave the head out (`true_macs` holds the real shares).
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PaperNet:
    """One network of the paper.

    Attributes:
        pretrained: accuracy before nesting.
        accuracy: by label in per cent, the bottom-up subnets ("BU").
        true_macs: true MACs of the label's subnet as a share of the full network's.
        kilobytes: float parameters of the label's subnet, KiB.
        ten: accuracy by label with ten nested subnets.
        solver_seconds: time of the authors' solver for the 25 % subnet.
    """

    pretrained: float
    accuracy: dict[int, float]
    true_macs: dict[int, float] = field(default_factory=dict)
    kilobytes: dict[int, float] = field(default_factory=dict)
    ten: dict[int, float] = field(default_factory=dict)
    solver_seconds: float | None = None


def _by_label(*values: float) -> dict[int, float]:
    """25, 50, 75, 100."""
    return dict(zip((25, 50, 75, 100), values, strict=True))


def _by_ten(*values: float) -> dict[int, float]:
    """10, 20, ... 100."""
    return dict(zip(range(10, 101, 10), values, strict=True))


PAPER: dict[str, PaperNet] = {
    # Supplement, tables 7 and 8; the labels are shares of all MACs but the head's.
    "ds_cnn_s_fashion_mnist": PaperNet(
        90.59,
        _by_label(89.22, 90.75, 91.51, 91.60),
        kilobytes=_by_label(66.63, 87.4, 107.73, 128.54),
        solver_seconds=19 * 60,
    ),
    "ds_cnn_s_cifar10": PaperNet(
        79.36,
        _by_label(68.66, 76.72, 80.17, 81.07),
        kilobytes=_by_label(69.63, 88.01, 109.41, 121.04),
        solver_seconds=90 * 60,
    ),
    # Supplement, tables 4 to 6; DS-CNN from the plots of the authors' repository.
    "dnn_s_kws": PaperNet(
        83.82,
        _by_label(64.42, 78.36, 82.29, 83.52),
        _by_label(0.098, 0.338, 0.658, 1.0),
        _by_label(30.8, 105.4, 204.8, 311.1),
        _by_ten(23.93, 52.36, 67.76, 75.37, 78.26, 80.37, 81.67, 82.67, 82.93, 83.07),
    ),
    "dnn_l_kws": PaperNet(
        86.87,
        _by_label(82.61, 85.62, 86.38, 86.46),
        _by_label(0.210, 0.456, 0.709, 1.0),
        _by_label(407.8, 883.7, 1374.0, 1936.5),
        _by_ten(50.70, 80.19, 82.66, 84.80, 85.33, 85.66, 85.78, 86.10, 86.17, 86.19),
    ),
    "cnn_s_kws": PaperNet(
        92.24,
        _by_label(79.52, 88.39, 90.63, 91.60),
        _by_label(0.224, 0.470, 0.738, 1.0),
        _by_label(58.7, 126.2, 197.8, 273.4),
        _by_ten(58.87, 73.74, 81.92, 85.76, 88.40, 88.84, 89.43, 90.10, 90.40, 91.16),
    ),
    "cnn_l_kws": PaperNet(
        93.24,
        _by_label(90.24, 91.95, 92.74, 92.83),
        _by_label(0.237, 0.478, 0.727, 1.0),
        _by_label(419.9, 891.1, 1368.6, 1864.3),
        _by_ten(81.15, 88.61, 90.52, 91.78, 92.03, 92.28, 92.25, 92.77, 92.84, 93.10),
    ),
    "ds_cnn_s_kws": PaperNet(
        93.8,  # measured from the checkpoint
        _by_label(89.65, 92.1, 93.2, 94.1),
        _by_label(0.177, 0.411, 0.634, 1.0),
        _by_label(22.5, 43.8, 63.3, 97.3),
        _by_ten(58.46, 84.14, 87.63, 89.42, 91.04, 92.27, 92.64, 92.84, 93.33, 93.50),
    ),
    "ds_cnn_l_kws": PaperNet(
        94.6,  # measured from the int8 file
        _by_label(93.20, 94.17, 94.33, 94.46),
        _by_label(0.172, 0.339, 0.505, 1.0),
        _by_label(314.1, 594.7, 873.9, 1651.7),
        _by_ten(90.38, 93.35, 93.59, 93.83, 93.97, 94.08, 94.21, 94.31, 94.32, 94.34),
    ),
}
