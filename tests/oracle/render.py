"""cloud-init's own netplan renderer: a JSON line {"name", "document"} in, a JSON line {"name", "yaml"} or {"name", "error"} out.

The first argument is where its packages are. It is told that the machine has no cards, so that none is asked for anything.
"""

import json
import logging
import sys
import tempfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, sys.argv[1])
logging.disable(logging.CRITICAL)

from cloudinit import net  # noqa: E402
from cloudinit.net import netplan, network_state  # noqa: E402

PATH = "etc/netplan/50-cloud-init.yaml"


def rendered(document):
    """What it writes for a document."""
    renderer = netplan.Renderer({"netplan_path": PATH, "netplan_header": "", "postcmds": False})
    state = network_state.parse_net_config_data(document, renderer=renderer)
    with tempfile.TemporaryDirectory() as folder:
        renderer.render_network_state(network_state=state, target=folder)
        return Path(folder, PATH).read_text()


def answer(line):
    """One line for one line."""
    asked = json.loads(line)
    try:
        return {"name": asked["name"], "yaml": rendered(asked["document"])}
    except Exception as fault:  # Whatever it cannot do, it does not accept.
        return {"name": asked["name"], "error": f"{type(fault).__name__}: {fault}"}


with mock.patch.object(net, "get_interfaces_by_mac", lambda *_, **__: {}), mock.patch.object(
    network_state, "get_interfaces_by_mac", lambda *_, **__: {}, create=True
):
    for line in sys.stdin:
        print(json.dumps(answer(line)))
