# What containers have not: names by udev, bonds, VLANs. Pushed over the network, read back from the kernel.

plug 1 4
for card in 1 2 3 4; do soon "card $card is there" is_plugged $card; done
soon "udev has named them" eval '! shows "eth[0-9]" ip -brief link'

# A name for each of four cards, a bond of two, a VLAN on it, a bridge over it, and a table of routes of its own.
stack() {
    cat << JSON
{"network": {"version": 2,
 "ethernets": {
  "lan": {"match": {"macaddress": "$(mac 1)"}, "set-name": "lan0", "mtu": 1400, "addresses": ["10.1.0.1/24", "2001:db8:1::1/64"],
   "routes": [{"to": "10.100.0.0/16", "via": "10.1.0.9"}, {"to": "default", "via": "10.1.0.8", "table": 77}],
   "routing-policy": [{"from": "10.1.0.0/24", "table": 77, "priority": 770}]},
  "left": {"match": {"macaddress": "$(mac 2)"}, "set-name": "left0"},
  "right": {"match": {"macaddress": "$(mac 3)"}, "set-name": "right0"}},
 "bonds": {"bond0": {"interfaces": ["left", "right"], "addresses": ["10.2.0.1/24"], "parameters": {"mode": "active-backup", "mii-monitor-interval": 100}}},
 "vlans": {"v9": {"id": 9, "link": "bond0"}},
 "bridges": {"br0": {"interfaces": ["v9"], "addresses": ["10.3.0.1/24"], "parameters": {"stp": false}}}}}
JSON
}
kernel_has() { kernel | grep -Fq -- "$1"; }

bare=$(kernel) bare_files=$(files)
stack | push_behind --confirm-within 600
soon "a stack of devices is on trial" on_trial
soon "a card has the name that its MAC address is given, and its MTU" kernel_has "\"lan0\", \"$(mac 1)\", 1400, true"
soon "… its addresses" eval 'kernel_has "\"lan0\", \"10.1.0.1/24\"" && kernel_has "\"lan0\", \"2001:db8:1::1/64\""'
soon "… its route" kernel_has '"10.100.0.0/16", "10.1.0.9", "lan0"'
soon "… the default route of its table" kernel_has '"default", "10.1.0.8", "lan0", null, "77"'
soon "… and the rule that leads there" kernel_has '{"priority": 770, "src": "10.1.0.0", "srclen": 24, "table": "77"'
soon "the bond has its mode" kernel_has '"bond", {"mode": "active-backup", "miimon": 100}'
soon "… its address" kernel_has '"bond0", "10.2.0.1/24"'
soon "… and its members, under their names" eval 'shows "master bond0 .*state UP" ip link show left0 && shows "master bond0 .*state UP" ip link show right0'
soon "the VLAN is on it" shows '^[0-9]+: v9@bond0: .*master br0' ip -details link show v9
soon "… with its number" kernel_has '"br0", "bond0", "vlan", {"id": 9}'
soon "the bridge over the VLAN has its address" shows '10.3.0.1/24' ip -brief address show dev br0
must "nobody has touched the first card" shows '^mgmt0 +UP +10\.0\.2\.' ip -brief address show dev mgmt0
must "a word takes all of it back" guest cloud-channel network rollback
ended "… at once" 'FAIL .*asked for it; everything was put back'
must "… every file is as before" same "$bare_files" "$(files)"
soon "… and so is the kernel, names and all" eval 'same "$bare" "$(kernel)"'

stack | remotely set network - > "$LAB/pushed" 2>&1 || true
must "pushed over the network, it is confirmed by its sender's being there" grep -Eq '^(SUCCESS|WARN)' "$LAB/pushed"
soon "… the kernel has it" eval 'kernel_has "\"lan0\", \"10.1.0.1/24\"" && kernel_has "{\"id\": 9}" && shows 10.3.0.1/24 ip -brief address show dev br0'
made=$(kernel) made_files=$(files)
stack | push "the same again" network 'SUCCESS .*nothing to change'
reboot
soon "after a reboot the daemon is ready" guest cloud-channel status --wait 60
must "… no file has changed" same "$made_files" "$(files)"
soon "… the kernel has it all again, names by udev's own doing" eval 'same "$made" "$(kernel)"'

push "all of it removed" network 'SUCCESS' << 'JSON'
{"network": {"bridges": null, "vlans": null, "bonds": null, "ethernets": {"lan": null, "left": null, "right": null}}}
JSON
soon "… what was made is gone" eval '! shows "br0|v9|bond0" ip -brief link'
