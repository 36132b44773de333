"""What the governor of the generated code needs to know of a Report."""

import math

from tflm_reds.codegen.governor.files import SubnetCost
from tflm_reds.report.model import Report


def subnet_costs(report: Report) -> tuple[SubnetCost, ...]:
    """Of each subnet: upper ends of the modelled time and energy, rounded up, and int8 accuracy.

    Empty where no time was modelled; energy and accuracy are 0 where they are not known.
    """
    if any(row.ms_modelled is None for row in report.subnets):
        return ()
    return tuple(
        SubnetCost(
            subnet=row.index,
            time_us=math.ceil(1000 * row.ms_modelled[1]),
            energy_uj=math.ceil(row.energy_uj_modelled[1]) if row.energy_uj_modelled else 0,
            accuracy_permille=round(1000 * (row.accuracy_int8 or 0)),
        )
        for row in report.subnets
    )
