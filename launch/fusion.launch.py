"""Start the fusion node, and RViz or the page in the browser if asked for.

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
    "infrared_camera_info": "infrared/camera_info",
}
NODE_PARAMETERS = ("model", "mode", "device")
WEB_PARAMETERS = {"web_host": ("host", str), "web_port": ("port", int)}
OTHERS = ("params_file", "namespace", "use_sim_time", "rviz", "web")
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
            argument("mode", "", "attribution: auto, exact, fast or realtime"),
            argument("device", "", "where the model runs: auto, cpu, cuda, cuda:N"),
            argument(
                "params_file",
                PathJoinSubstitution([SHARE, "config", "fusion.yaml"]),
                "YAML file with node parameters; model, mode and device given here win over it",
            ),
            argument("namespace", "", "namespace of the node and of its relative topics"),
            argument("use_sim_time", "", "true: time comes from /clock", ["", "true", "false"]),
            argument("rviz", "false", "true: open RViz on the images", ["true", "false"]),
            argument("web", "false", "true: the page in the browser", ["true", "false"]),
            argument("web_host", "", "address of the page; 0.0.0.0: whoever reaches this machine"),
            argument("web_port", "", "TCP port of the page"),
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
        for name in (*TOPICS, *NODE_PARAMETERS, *WEB_PARAMETERS, *OTHERS)
        if (value := LaunchConfiguration(name).perform(context))
    }
    sim_time = {"use_sim_time": given["use_sim_time"] == "true"} if "use_sim_time" in given else {}
    parameters = {name: given[name] for name in NODE_PARAMETERS if name in given} | sim_time
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
    if given["web"] == "true":
        actions.append(web_viewer(given, sim_time))
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


def web_viewer(given, sim_time):
    """The page in the browser, of the fusion node's topics."""
    chosen = {
        parameter: kind(given[name])
        for name, (parameter, kind) in WEB_PARAMETERS.items()
        if name in given
    }
    parameters = chosen | sim_time
    return Node(
        package=PACKAGE,
        executable="web_viewer",
        namespace=given.get("namespace"),
        remappings=input_remappings(given),
        parameters=[parameters] if parameters else [],
        output="screen",
    )
