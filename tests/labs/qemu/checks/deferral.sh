# A bridge over three cards that are not there yet, plugged one by one, with a restart and a reboot in between.

bridge() {
    cat << JSON
{"network": {"version": 2,
 "ethernets": {
  "one": {"match": {"macaddress": "$(mac 6)"}, "set-name": "one0"},
  "two": {"match": {"macaddress": "$(mac 7)"}, "set-name": "two0"},
  "three": {"match": {"macaddress": "$(mac 8)"}, "set-name": "three0"},
  "solo": {"match": {"macaddress": "$(mac 5)"}, "set-name": "solo0", "addresses": ["10.5.0.1/24"]}},
 "bridges": {"br5": {"interfaces": ["one", "two", "three"], "addresses": ["10.6.0.1/24"], "parameters": {"stp": false}}}}}
JSON
}
members() { guest ip -json link show master br5 | python3 -c 'import json, sys; print(*sorted(link["ifname"] for link in json.load(sys.stdin)))'; }
has_no_bridge() { lacks 'br5' ip -brief link; }
has_members() { same "$1" "$(members)"; }

plug 5
soon "a card of its own is plugged" is_plugged 5
bridge | push "a bridge over three cards that are not there is deferred" network 'WARN .*`br5` waits until'
soon "… the card of its own is configured at once" shows '^solo0 +UP +10\.5\.0\.1/24' ip -brief address show dev solo0
must "… the bridge is not made" has_no_bridge
must "… and the status says for what it waits" network_says 'set(lane["deferred"]["br5"]) == {"one", "two", "three"}'
# Its sender has taken the events of the push.
events > "$LAB/heard"

plug 8
soon "the last of them is plugged first" is_plugged 8
must "… which makes no bridge" has_no_bridge
guest systemctl restart cloud-channel
must "the daemon is restarted" guest cloud-channel status --wait 60
must "… the bridge waits for two more" network_says 'set(lane["deferred"]["br5"]) == {"one", "two"}'

plug 6
soon "the first is plugged" is_plugged 6
must "… which makes no bridge" has_no_bridge
reboot
must "the machine is rebooted" guest cloud-channel status --wait 60
must "… the card of its own is as it was" shows '^solo0 +UP +10\.5\.0\.1/24' ip -brief address show dev solo0
must "… and there is no bridge" has_no_bridge
events >> "$LAB/heard"
must "nothing was applied since the push: no start, no finish" same "0 0" "$(grep -c '^start' "$LAB/heard") $(grep -c '^finish' "$LAB/heard")"

plug 7
soon "the second is plugged, and the bridge has all three" has_members "one0 three0 two0"
soon "… and its address" shows '10\.6\.0\.1/24' ip -brief address show dev br5
soon "… the daemon is at rest" at_rest
: > "$LAB/heard"
soon "… and has told of it" eval 'events >> "$LAB/heard"; grep -q "^finish SUCCESS" "$LAB/heard"'
must "… in one finish" same 1 "$(grep -c '^finish' "$LAB/heard")"
must "… nothing waits any more" network_says 'lane["deferred"] == {}'

unplug 7
soon "a member is pulled, and the bridge goes on without it" has_members "one0 three0"
must "… with its address" shows '10\.6\.0\.1/24' ip -brief address show dev br5
plug 7
soon "it is plugged again, and joins" has_members "one0 three0 two0"
push "all of it removed" network '(SUCCESS|WARN)' << 'JSON'
{"network": {"bridges": null, "ethernets": {"one": null, "two": null, "three": null, "solo": null}}}
JSON
soon "… the bridge is gone" has_no_bridge
