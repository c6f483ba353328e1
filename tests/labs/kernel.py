"""What the kernel has, as text that can be compared: links, addresses, routes and rules, without numbers that come and go."""

import json
import os
import subprocess
import sys


def ask(*arguments):
    output = subprocess.run(["ip", "-json", *arguments], check=True, capture_output=True, text=True).stdout
    return json.loads(output or "[]")


def link(shown):
    info = shown.get("linkinfo", {})
    data = info.get("info_data", {})
    told = {key: data[key] for key in ("id", "mode", "miimon", "stp_state", "forward_delay") if key in data}
    return ["link", shown["ifname"], shown.get("address"), shown["mtu"], "UP" in shown["flags"],
            shown.get("master"), shown.get("link"), info.get("info_kind"), told]


def address(shown, info):
    lasting = "valid" if info.get("valid_life_time") == 2**32 - 1 else "lent"
    return ["address", shown["ifname"], f"{info['local']}/{info['prefixlen']}", info.get("label"), lasting]


# NetworkManager numbers links in the order in which they were brought up last, and has the metrics of routes that nobody
# gave one follow from that: 100 and on for cards, 425 and on for bridges.
numbers_links = os.path.exists("/run/NetworkManager")


def route(family, shown):
    if numbers_links and 100 <= shown.get("metric", 0) < 1000:
        shown = {**shown, "metric": "NetworkManager's"}
    keys = ("type", "dst", "gateway", "dev", "metric", "table", "protocol", "scope", "prefsrc")
    return ["route", family, *(shown.get(key) for key in keys)]


# Which cards to look at is told; without that, all but the loopback.
wanted = set(sys.argv[1:])
lines = []
links = [shown for shown in ask("-details", "link", "show")
         if (shown["ifname"] in wanted if wanted else shown["ifname"] != "lo")]
names = {shown["ifname"] for shown in links}
lines += [link(shown) for shown in links]
for shown in ask("address", "show"):
    if shown["ifname"] in names:
        lines += [address(shown, info) for info in shown["addr_info"]]
for family in ("-4", "-6"):
    # The table `local` follows from the addresses.
    lines += [route(family, shown) for shown in ask(family, "route", "show", "table", "all")
              if shown.get("table") != "local" and shown.get("dev") in names]
    lines += [["rule", family, shown] for shown in ask(family, "rule", "show")]
print("\n".join(sorted(json.dumps(line) for line in lines)))
