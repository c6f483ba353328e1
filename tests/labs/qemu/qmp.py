"""qmp.py SOCKET [EVENT] < COMMANDS: says QMP commands, one a line, to QEMU, and waits for an event of each if one is named.

Fails at the first that QEMU refuses. A command is {"execute": …, "arguments": …} (QEMU's interop/qmp-spec)."""

import json
import socket
import sys

connection = socket.socket(socket.AF_UNIX)
connection.settimeout(60)
connection.connect(sys.argv[1])
lines = connection.makefile("rw")
json.loads(lines.readline())
events = []


def execute(command):
    lines.write(json.dumps(command) + "\n")
    lines.flush()
    while True:
        message = json.loads(lines.readline())
        if "event" in message:
            events.append(message["event"])
        elif "error" in message:
            sys.exit(f"{command['execute']}: {message['error']['desc']}")
        else:
            return


execute({"execute": "qmp_capabilities"})
asked = 0
for text in sys.stdin:
    execute(json.loads(text))
    asked += 1
while sys.argv[2:] and events.count(sys.argv[2]) < asked:
    message = json.loads(lines.readline())
    events.append(message.get("event"))
