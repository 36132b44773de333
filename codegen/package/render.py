"""Render a PackageContent as the files of one ecosystem.

Each kind of package is a folder of templates: what is in templates/kinds/<kind>/ is in the package,
with NAME and EXT in file names replaced by the package's name and "c" or "cpp".
"""

from pathlib import Path

from tflm_reds.codegen import writer
from tflm_reds.codegen.package.content import PackageContent
from tflm_reds.codegen.package.values import template_values
from tflm_reds.errors import PackageError

FOLDER = Path(__file__).parent
TEMPLATES = FOLDER / "templates"
KINDS = tuple(sorted(path.name for path in (TEMPLATES / "kinds").iterdir()))
"""Names of the ecosystems."""

LONGEST_NAME = 63  # of an Arduino library; the others allow more


def package_files(content: PackageContent, kind: str) -> dict[str, bytes]:
    """The files of a package, by their path inside it; the same content gives the same bytes.

    Raises:
        PackageError: if there is no such kind, or the package's name is not allowed in it.
    """
    check_kind(kind)
    check_name(content.name, kind)
    folder = TEMPLATES / "kinds" / kind
    extension = "cpp" if content.tflm else "c"
    files = {f"src/{name}": data for name, data in content.sources.items()}
    for template in sorted(folder.rglob("*.j2")):
        path = template.relative_to(folder).as_posix().removesuffix(".j2")
        path = path.replace("NAME", content.name).replace("EXT", extension)
        files[path] = render(content, template.relative_to(TEMPLATES).as_posix(), kind)
    files["README.md"] = render(content, "README.md.j2", kind)
    files["LICENSE"] = (FOLDER / "LICENSE").read_bytes()
    return files


def render(content: PackageContent, template: str, kind: str = "") -> bytes:
    """One template as UTF-8."""
    environment = writer.template_environment(TEMPLATES, writer.TEMPLATES)
    return environment.get_template(template).render(kind=kind, **template_values(content)).encode()


def check_kind(kind: str) -> None:
    """Refuse an unknown ecosystem.

    Raises:
        PackageError: naming those there are.
    """
    if kind not in KINDS:
        raise PackageError(f"There is no package {kind!r}. Choose from {', '.join(KINDS)}.")


def check_name(name: str, kind: str) -> None:
    """Refuse a package name that the ecosystem's tools refuse.

    Raises:
        PackageError: telling why, and the way out.
    """
    if len(name) > LONGEST_NAME:
        raise PackageError(
            f"The package name {name} has {len(name)} characters, the limit is {LONGEST_NAME}. "
            "Choose a shorter one with --name."
        )
    if kind == "arduino" and name.lower().startswith("arduino"):
        raise PackageError(
            f"The library name {name} starts with `arduino`, which is for Arduino's own libraries. "
            "Choose another with --name."
        )
