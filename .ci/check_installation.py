"""In a sourced colcon workspace: code, executables and shipped files all come from the install."""

import subprocess
import xml.etree.ElementTree as ElementTree
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
    find_share("config", "security_policy.xml"),
    find_share("package.xml"),
    find_share("models", "uaafusion_edge.safetensors"),
    Path(uaafusion_ros.__file__).parent / "web/page/index.html",
    *(
        prefix / "lib/uaafusion_ros" / name
        for name in ("fusion_node", "camera_replay", "web_viewer", "uaafusion")
    ),
]
for path in found:
    assert path.is_relative_to(prefix), f"{path} is not in {prefix}"
    assert path.is_file(), f"{path} is missing"
index = prefix / "share/ament_index/resource_index/packages/uaafusion_ros"
assert index.is_file(), "`ros2 pkg` would not find the package"
subprocess.run([found[-1], "--help"], check=True, stdout=subprocess.DEVNULL)
# What `ros2 pkg xml` shows, by the rules of package format 3.
manifest = ElementTree.parse(find_share("package.xml")).getroot()
assert manifest.get("format") == "3" and manifest.findtext("name") == "uaafusion_ros"
assert manifest.findtext("version") == uaafusion_ros.__version__
assert manifest.findtext("export/build_type") == "ament_python"
for tag in ("description", "maintainer", "license"):
    assert manifest.findtext(tag, "").strip(), f"package.xml has no {tag}"
print(f"{len(found)} files looked for, all in {prefix}")
