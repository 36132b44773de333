"""What the governor of the generated code needs to know of a Report."""

import math

from tflm_reds.codegen.governor.files import SubnetCost, worthwhile
from tflm_reds.report.model import Report


def subnet_costs(report: Report) -> tuple[SubnetCost, ...]:
    """Of the subnets worth choosing: upper ends of modelled time and energy, int8 accuracy.

    Empty where a time was not modelled.
    """
    rows = report.subnets
    if any(row.ms_modelled is None or row.energy_uj_modelled is None for row in rows):
        return ()
    return worthwhile(
        [
            SubnetCost(
                subnet=row.index,
                time_us=math.ceil(1000 * row.ms_modelled[1]),
                energy_uj=math.ceil(row.energy_uj_modelled[1]),
                accuracy_permille=round(1000 * (row.accuracy_int8 or 0)),
            )
            for row in rows
        ]
    )
