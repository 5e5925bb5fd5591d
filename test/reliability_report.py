"""What the tests of faults and promises found, as the page docs/reliability.md."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

HEAD = """\
# Reliability

`make reliability` wrote this page: every row is a test in `test/faults/` that injects the fault for
real (processes killed or stopped, files cut off, messages malformed on the wire) and fails if the
node needs a restart, or if one image is neither published nor counted with a reason. Numbers are of
the run that wrote the page: {machine}.

## Faults

Lost and counted: images received by the node while the test ran = published + dropped by reason.
The test fails unless the sum is exact. Images without a partner at the beginning of a test came
while DDS still introduced the other camera.

| Fault | What the operator reads in `/diagnostics` | Fused again after | Lost and counted |
|---|---|---|---|
"""

PROMISES = """
## Promises

| Promise | Measured | Command |
|---|---|---|
"""

NOT_RUN = """
## Not run

- Humble: no pip wheels exist; the code keeps to what its API documents. From pip's wheels, Kilted
  runs all tests (`make test`), Jazzy those that depend on it (`make smoke ROS_DISTRO=jazzy`).
- A GPU: running out of its memory is injected into the call that would allocate it.
- RViz. Launch files in `make test`: the tests under `test/launch/` skip where `launch_testing` is
  missing, and pip's wheels do not bring it. They pass, as do the node's with the real
  message_filters, on Kilted's wheels with launch 3.7.1, launch_ros 0.28.0, message_filters 6.0.6
  and ros2cli 0.36.1 from source.
- SROS 2: `config/security_policy.xml` is compared with the node's graph, not enforced.
"""


@dataclass
class ReliabilityReport:
    """Collects rows in the order of the tests."""

    faults: list[tuple[str, ...]] = field(default_factory=list)
    promises: list[tuple[str, ...]] = field(default_factory=list)

    def fault(self, name: str, reported: str, recovery: float | None, counted: str) -> None:
        """One fault; ``recovery`` in seconds, None where nothing was interrupted."""
        after = "not interrupted" if recovery is None else f"{recovery:.1f} s"
        self.faults.append((name, reported, after, counted))

    def promise(self, name: str, measured: str, command: str) -> None:
        """One promise and what was measured."""
        self.promises.append((name, measured, f"`{command}`"))

    def write(self, path: Path) -> None:
        """Writes the page."""
        release = os.environ.get("ROS_DISTRO") or "kilted"
        machine = f"{os.cpu_count()} cores, {platform.machine()}, ROS 2 {release.capitalize()}"
        text = HEAD.format(machine=machine) + "".join(map(_row, self.faults))
        text += PROMISES + "".join(map(_row, self.promises)) + NOT_RUN
        path.write_text(text, encoding="utf-8")


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
