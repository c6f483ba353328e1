"""Takes the events that wait, and prints a line for each that is about hardware, or about how a push of the network fared:

    hotplug add enp1s0 52:54:00:00:01:01
    start
    finish SUCCESS config-network ran successfully

An event of this script's own marks the end, so that nothing has to be waited for that does not come."""

import json
import subprocess

MARK = "02:00:00:00:00:ff"

subprocess.run(["cloud-channel", "hotplug", "--nic", MARK, "--action", "mark"], check=True)
subscriber = subprocess.Popen(["timeout", "60", "cloud-channel", "subscribe", "--format", "json", "/cloudinit/**"],
                              stdout=subprocess.PIPE, text=True)
for line in subscriber.stdout:
    message = json.loads(line)
    data = message["data"]
    if "/hotplug/" in message["channel"]:
        if data["action"] == "mark":
            break
        attributes = data["attrs"]
        print("hotplug", data["action"], attributes.get("name"), attributes.get("address"))
    elif message["channel"].endswith("/modules-config/network"):
        for event in data:
            print(event["event_type"], *([event["result"], event["description"]] if "result" in event else []))
else:
    raise SystemExit("the mark did not come")
subscriber.terminate()
subscriber.wait()
