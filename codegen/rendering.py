"""Renders the templates of boards, simulators and the governor."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2


def render(template: Path, values: Mapping[str, Any]) -> str:
    """The text of a template; a name that `values` lacks is an error."""
    return _environment(template.parent).get_template(template.name).render(values)


@cache
def _environment(folder: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
