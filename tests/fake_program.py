"""Shell scripts on PATH in place of tools that need hardware or cannot be installed here."""

import os
from pathlib import Path


def fake_program(folder: Path, name: str, script: str, monkeypatch) -> None:
    """Put a shell script called `name` on PATH."""
    program = folder / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    if str(program.parent) not in os.environ["PATH"].split(os.pathsep):
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
