"""What the documents say of topics, parameters, commands and messages is what the code has."""

import ast
import asyncio
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from browser_fixtures import looking_at_all, page_url

import uaafusion_ros
from uaafusion_ros.commands import reference as commands
from uaafusion_ros.node import reference
from uaafusion_ros.node.accounting import FrameDrop
from uaafusion_ros.node.pairing import DropReason

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md")

VALUES = r"…|: |\d+(?:\.\d+)?|\b(?:visible|infrared|ahead|behind|ms|h)\b"
"""Where a quotation of the code may hold what the code puts in: an ellipsis, or an example."""


def section(heading, text=README):
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_references_are_what_the_code_writes_now():
    for page, write in (("reference.md", reference), ("commands.md", commands)):
        shown = (ROOT / "docs" / page).read_text()
        assert shown == write.reference(), f"docs/{page} is old: make reference"


def test_the_reference_of_each_node_is_its_graph(client, start, tiny_model):
    pytest.importorskip("aiohttp", reason="needs aiohttp (extra web)")
    # Those that a node does not have, it ignores.
    values = (f"model:={tiny_model}", "width:=96", "height:=64", "port:=0")
    parameters = [word for value in values for word in ("-p", value)]
    processes = {node.name: start(node.executable, *parameters) for node in reference.NODES}

    def wait_for_the_graph(demanded):
        for node in reference.NODES:
            sides = {"in": node.subscribed, "out": node.published}
            expected = {
                side: rows(node, [i for i in interfaces if demanded or not i.on_demand])
                for side, interfaces in sides.items()
            }
            client.wait_for(lambda n=node: n.name in client.node.get_node_names(), node.name)
            client.wait_for(
                lambda n=node, e=expected: on_the_graph(client.node, n.name) == e,
                f"{node.name} to have the topics of the reference: {expected}",
            )

    async def look():
        async with looking_at_all(page_url(processes["web_viewer"])):
            await asyncio.to_thread(wait_for_the_graph, demanded=True)

    wait_for_the_graph(demanded=False)
    asyncio.run(look())
    for node in reference.NODES:
        services = client.node.get_service_names_and_types_by_node(node.name, "/")
        expected = {
            (full_name(service.name, node.name), (service.kind,)) for service in node.services
        }
        assert expected <= {(service, tuple(kinds)) for service, kinds in services}


def rows(node, interfaces):
    return {(full_name(i.name, node.name), i.kind, qos(i)) for i in interfaces}


def on_the_graph(observer, node):
    """Topic, type, reliability and durability of everything that a node reads and sends."""
    found = {}
    for side, names, information in (
        (
            "in",
            observer.get_subscriber_names_and_types_by_node,
            observer.get_subscriptions_info_by_topic,
        ),
        (
            "out",
            observer.get_publisher_names_and_types_by_node,
            observer.get_publishers_info_by_topic,
        ),
    ):
        found[side] = {
            (topic, info.topic_type, of_profile(info.qos_profile))
            for topic, _ in names(node, "/")
            if topic not in ("/rosout", "/parameter_events") and "/_" not in topic
            for info in information(topic)
            if info.node_name == node and not topic.endswith("transition_event")
        }
    return found


def of_profile(profile):
    words = (profile.reliability.name, profile.durability.name)
    return tuple(word.lower().replace("_", " ") for word in words)


def qos(interface):
    reliability, durability, _ = interface.qos.split(", ")
    return reliability, durability


def full_name(name, node):
    return f"/{node}{name[1:]}" if name.startswith("~") else f"/{name.lstrip('/')}"


def test_the_readme_names_every_topic_and_no_other_and_true_parameters():
    text = section("Topics and parameters")
    named = set(re.findall(r"`((?:~/|infrared/|visible/|/diag)[\w/]+)`", text))
    interfaces = (*reference.FUSION.subscribed, *reference.FUSION.published)
    interfaces += tuple(reference.FUSION.services)
    assert named == {interface.name for interface in interfaces}
    rows = text.split("| Most used | |")[1].splitlines()[2:]
    parameters = {
        name for row in rows if "|" in row for name in re.findall(r"`([\w.]+)`", row.split("|")[1])
    }
    assert len(parameters) > 5
    assert parameters <= {declaration.name for declaration in reference.FUSION.declarations}


def test_what_the_node_is_quoted_to_say_it_says():
    said = "\n".join(sentences())
    for page, text in (
        ("README", section("When something is wrong")),
        ("faq", (ROOT / "docs" / "faq.md").read_text().split("\n## NumPy 2")[0]),
        ("sensors", (ROOT / "docs" / "sensors.md").read_text()),
    ):
        quotes = re.findall(r'"([^"]{12,})"', " ".join(text.split()))
        assert len(quotes) > 4, page
        for quote in quotes:
            for part in re.split(VALUES, quote):
                assert part.strip(" ,;:-") in said, f"{page}: nothing says {part!r} of {quote!r}"


def sentences():
    """All texts of the code, with "…" where values are put in."""
    for file in (ROOT / "uaafusion_ros").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_reason_of_a_drop_is_explained():
    table = section("The flow of a frame", (ROOT / "docs" / "operating.md").read_text())
    explained = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(explained) == sorted({reason.value for reason in (*FrameDrop, *DropReason)})


def test_commands_in_the_documents_have_their_options():
    known = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in commands.leaves(commands.get_command(commands.app))
    }
    found = 0
    for page in PAGES:
        for line in re.findall(r"^(?:\S+=\S+ )*(uaafusion .*)$", page.read_text(), re.MULTILINE):
            words = line.split("  #")[0].split()
            name = " ".join(words[: 3 if words[1] == "dataset" else 2])
            options = {word.split("=")[0].strip("[]") for word in words if re.match(r"\[?--", word)}
            assert name in known, f"{page.name}: {line}"
            assert options <= known[name] | {"--help"}, f"{page.name}: {line}"
            found += 1
    assert found > 20


def test_there_is_one_version():
    shown = subprocess.run(
        [sys.executable, "-m", "uaafusion_ros.cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    manifest = ElementTree.parse(ROOT / "package.xml").getroot().findtext("version")
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert shown == manifest == newest == uaafusion_ros.__version__
