"""Start the fusion node, and RViz if asked for.

Arguments left empty change nothing: the node's own defaults hold (`ros2 param describe`).
"""

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node

from uaafusion_ros.node.transport import transport_environment

PACKAGE = "uaafusion_ros"
SHARE = get_package_share_directory(PACKAGE)

TOPICS = {  # launch argument: the node's own topic
    "infrared": "infrared/image_raw",
    "visible": "visible/image_raw",
    "camera_info": "visible/camera_info",
}
OUTPUTS = ("fused/image", "segmentation/overlay", "attribution/overlay")


def generate_launch_description():
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    name, default_value="", description=f"topic to use instead of {topic}"
                )
                for name, topic in TOPICS.items()
            ),
            argument("model", "", "model file, or name of a shipped model"),
            argument("device", "", "where the model runs: auto, cpu, cuda, cuda:N"),
            argument(
                "params_file",
                PathJoinSubstitution([SHARE, "config", "fusion.yaml"]),
                "YAML file with node parameters; model and device given here win over it",
            ),
            argument("namespace", "", "namespace of the node and of its relative topics"),
            argument("use_sim_time", "", "true: time comes from /clock", ["", "true", "false"]),
            argument("rviz", "false", "true: open RViz on the images", ["true", "false"]),
            OpaqueFunction(function=start),
        ]
    )


def argument(name, default, description, choices=None):
    return DeclareLaunchArgument(
        name, default_value=default, description=description, choices=choices
    )


def start(context):
    """Turn the arguments into processes; only what was given overrides the node's defaults."""
    given = {
        name: value
        for name in (*TOPICS, "model", "device", "params_file", "namespace", "use_sim_time", "rviz")
        if (value := LaunchConfiguration(name).perform(context))
    }
    sim_time = {"use_sim_time": given["use_sim_time"] == "true"} if "use_sim_time" in given else {}
    parameters = {name: given[name] for name in ("model", "device") if name in given} | sim_time
    fusion = Node(
        package=PACKAGE,
        executable="fusion_node",
        namespace=given.get("namespace"),
        remappings=input_remappings(given),
        parameters=[
            *([given["params_file"]] if "params_file" in given else []),
            *([parameters] if parameters else []),
        ],
        output="screen",
    )
    # Fast DDS's defaults lose images; a profile that the user has set stays.
    transport = transport_environment(context.environment)
    actions = [SetEnvironmentVariable(name, value) for name, value in transport.items()]
    actions.append(fusion)
    if given["rviz"] == "true":
        actions.append(rviz(given, sim_time))
    return actions


def input_remappings(given):
    """Remappings of the given topics, of their compressed form too."""
    pairs = []
    for name, topic in TOPICS.items():
        if name in given:
            pairs += [
                (topic, given[name]),
                (f"{topic}/compressed", f"{given[name]}/compressed"),
            ]
    return pairs


def rviz(given, sim_time):
    """RViz with the package's layout, whose topics follow the namespace and the arguments."""
    inputs = [(f"/{topic}", given.get(name, topic)) for name, topic in TOPICS.items()]
    outputs = [(f"/uaafusion/{topic}", f"uaafusion/{topic}") for topic in OUTPUTS]
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=given.get("namespace"),
        arguments=["-d", f"{SHARE}/config/fusion.rviz"],
        remappings=inputs + outputs,
        parameters=[sim_time] if sim_time else [],
        output="log",
    )
