"""See UAAFusion at work without cameras: replayed images, the fusion node, and RViz or a browser.

The synthetic street is shown, or two folders of your own images. Everything stays on this machine.
Arguments left empty change nothing: the nodes' own defaults hold (`ros2 param describe`).
"""

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from uaafusion_ros.node.transport import transport_environment

PACKAGE = "uaafusion_ros"
REPLAY = {  # launch argument, which is the parameter of camera_replay: its type, its description
    "condition": (str, "light and weather of the street: day, night or fog"),
    "infrared_folder": (str, "folder of infrared images to show instead of the street"),
    "visible_folder": (str, "folder of visible images with the same names"),
    "rate": (float, "pairs of images a second"),
}
FUSION = {  # launch argument of fusion.launch.py: default, description
    "model": ("", "model file, or name of a shipped model"),
    "mode": ("", "attribution: auto, exact, fast or realtime"),
    "device": ("", "where the model runs: auto, cpu, cuda, cuda:N"),
    "rviz": ("true", "false: no RViz"),
    "web": ("false", "true: the page in the browser"),
}


def generate_launch_description():
    described = {name: ("", description) for name, (_, description) in REPLAY.items()} | FUSION
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in described.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def start(context):
    """Turn the arguments into processes."""
    fusion = IncludeLaunchDescription(
        f"{get_package_share_directory(PACKAGE)}/launch/fusion.launch.py",
        launch_arguments=[(name, LaunchConfiguration(name)) for name in FUSION],
    )
    replay = Node(
        package=PACKAGE,
        executable="camera_replay",
        parameters=[replay_parameters(context)],
        output="screen",
    )
    # RViz closed, or a node that could not start: nothing is left to see.
    end = RegisterEventHandler(OnProcessExit(on_exit=[Shutdown(reason="a part of it has ended")]))
    return [*stay_on_this_machine(context.environment), end, fusion, replay]


def replay_parameters(context):
    """Return the parameters of camera_replay that arguments were given for."""
    given = {name: LaunchConfiguration(name).perform(context) for name in REPLAY}
    parameters = {name: REPLAY[name][0](value) for name, value in given.items() if value}
    if "infrared_folder" in parameters or "visible_folder" in parameters:
        parameters["source"] = "folders"
    return parameters


def stay_on_this_machine(environment):
    """Return actions that keep the demo's images on loopback; the user's own settings stay."""
    variables = transport_environment(environment, "fastdds_loopback.xml")
    if "ROS_AUTOMATIC_DISCOVERY_RANGE" not in environment:
        variables["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    return [SetEnvironmentVariable(name, value) for name, value in variables.items()]
