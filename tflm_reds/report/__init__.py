"""One report of a build: JSON for tools, Markdown for people, a table for the terminal."""

from tflm_reds.report.model import Measurement, OpChoice, PlanFacts, Report, SiliconRun, SubnetRow
from tflm_reds.report.render import render_markdown, render_table

__all__ = [
    "Measurement",
    "OpChoice",
    "PlanFacts",
    "Report",
    "SiliconRun",
    "SubnetRow",
    "render_markdown",
    "render_table",
]
