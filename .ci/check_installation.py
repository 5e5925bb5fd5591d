"""In a sourced colcon workspace: code, executables and shipped files all come from the install."""

import subprocess
from pathlib import Path

from ament_index_python.packages import get_package_prefix

import uaafusion_ros
from uaafusion_ros.share import find_share

prefix = Path(get_package_prefix("uaafusion_ros"))
found = [
    Path(uaafusion_ros.__file__),
    find_share("launch", "fusion.launch.py"),
    find_share("launch", "demo.launch.py"),
    find_share("config", "fusion.yaml"),
    find_share("config", "fastdds.xml"),
    find_share("models", "uaafusion_edge.safetensors"),
    *(
        prefix / "lib/uaafusion_ros" / name
        for name in ("fusion_node", "camera_replay", "uaafusion")
    ),
]
for path in found:
    assert path.is_relative_to(prefix), f"{path} is not in {prefix}"
    assert path.is_file(), f"{path} is missing"
subprocess.run([found[-1], "--help"], check=True, stdout=subprocess.DEVNULL)
print(f"{len(found)} files looked for, all in {prefix}")
