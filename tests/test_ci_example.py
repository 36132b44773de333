"""The workflow for users: valid YAML, everything pinned, and only options that exist."""

import re
import shlex
from pathlib import Path

import yaml

from tflm_reds.build import parse_arguments
from tflm_reds.sim.renode_files import VERSION

PATH = Path(__file__).parents[1] / "examples" / "ci" / "renode.yml"
WORKFLOW = yaml.safe_load(PATH.read_text())
STEPS = WORKFLOW["jobs"]["renode"]["steps"]


def test_everything_is_pinned():
    assert WORKFLOW["env"]["RENODE_VERSION"] == VERSION
    assert re.fullmatch("[0-9a-f]{64}", WORKFLOW["env"]["RENODE_SHA256"])
    used = [step["uses"] for step in STEPS if "uses" in step]
    others = [name for name in used if not name.startswith("actions/")]
    assert len(others) == 1 and others[0].startswith("antmicro/renode-test-action@")
    assert re.fullmatch("[0-9a-f]{40}", others[0].partition("@")[2])
    assert all(re.search(r"@v\d+$", name) for name in used if name not in others)
    assert "latest" not in PATH.read_text()


def test_the_build_command_is_one_of_ours():
    script = next(step["run"] for step in STEPS if step.get("name", "").startswith("Build"))
    command = script.replace("\\\n", "").partition("python -m tflm_reds.build")[2]
    arguments = parse_arguments(shlex.split(command))
    assert arguments.out == Path("build/ci") and arguments.tflm is False


def test_the_suite_runs_where_the_build_wrote_it():
    action = next(step["with"] for step in STEPS if "antmicro" in step.get("uses", ""))
    assert action["tests-to-run"] == "build/ci/firmware/${{ env.NAME }}.robot"
    assert action["renode-revision"] == f"v{VERSION}"
    faulty = next(step["run"] for step in STEPS if "must fail" in step.get("name", ""))
    assert "${NAME}_faulty.elf" in faulty and "exit 1" in faulty
