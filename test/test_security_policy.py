"""The SROS 2 policy allows what the running nodes have on the graph, and nothing more."""

import asyncio
import xml.etree.ElementTree as ElementTree

import pytest

pytest.importorskip("rclpy")

from browser_fixtures import looking_at_all, page_url

from uaafusion_ros.share import find_share

OPTIONAL = {
    "/clock",  # with use_sim_time
    "/uaafusion/get_type_description",  # not before Jazzy
    "/web_viewer/get_type_description",
}
COMPRESSED = {"/infrared/image_raw/compressed", "/visible/image_raw/compressed"}
RAW = {"/infrared/image_raw", "/visible/image_raw"}


def allowed(node):
    """Full names by what the policy allows a node to do with them."""
    enclaves = ElementTree.parse(find_share("config", "security_policy.xml")).iter("enclave")
    (enclave,) = (enclave for enclave in enclaves if enclave.get("path") == f"/{node}")
    (profile,) = enclave.iter("profile")
    assert profile.attrib == {"ns": "/", "node": node}
    found = {}
    for group in profile:
        ((action, permission),) = group.attrib.items()
        assert permission == "ALLOW"
        found[action] = {full_name(entry.text, node) for entry in group}
    return found


def full_name(name, node):
    if name.startswith("~"):
        return f"/{node}{name[1:]}"
    return name if name.startswith("/") else f"/{name}"


def graph(client, name):
    """Names on the graph by what a node does with them."""
    node = client.node
    return {
        action: {name for name, _ in read(name, "/")}
        for action, read in {
            "subscribe": node.get_subscriber_names_and_types_by_node,
            "publish": node.get_publisher_names_and_types_by_node,
            "reply": node.get_service_names_and_types_by_node,
            "request": node.get_client_names_and_types_by_node,
        }.items()
    }


def differences(client, name, expected):
    """What a node has on the graph and the policy does not, or the other way round."""
    found = {action: names - OPTIONAL for action, names in graph(client, name).items()}
    return {a: found[a] ^ expected[a] for a in expected if found[a] != expected[a]}


def test_the_policy_is_exactly_the_graph_of_the_node(client, start, tiny_model):
    policy = allowed("uaafusion")
    start("fusion_node", "-p", f"model:={tiny_model}", "-p", "diagnostics_period:=0.2")
    client.wait_for(lambda: client.diagnostics()["node"][2]["state"] == "active", "the node")
    expected = {action: names - OPTIONAL for action, names in policy.items()} | {"request": set()}
    expected["subscribe"] -= COMPRESSED

    def matches():
        return not differences(client, "uaafusion", expected)

    client.wait_for(matches, "the graph to be the policy's")
    assert client.change_state("deactivate")
    assert client.set_parameter("input_transport", "compressed") == ""
    assert client.change_state("activate")
    expected["subscribe"] = expected["subscribe"] - RAW | COMPRESSED
    client.wait_for(matches, "the graph of compressed images to be the policy's")


def test_the_policy_is_exactly_the_graph_of_the_viewer_while_a_browser_shows_all(client, start):
    pytest.importorskip("aiohttp", reason="needs aiohttp (extra web)")
    policy = allowed("web_viewer")
    viewer = start("web_viewer", "-p", "port:=0")
    client.wait_for(lambda: "web_viewer" in client.node.get_node_names(), "the node")
    expected = {action: names - OPTIONAL for action, names in policy.items()} | {"request": set()}
    expected["subscribe"] -= COMPRESSED

    async def look():
        async with looking_at_all(page_url(viewer)):
            await asyncio.to_thread(
                client.wait_for,
                lambda: not differences(client, "web_viewer", expected),
                "the graph to be the policy's",
            )

    asyncio.run(look())
