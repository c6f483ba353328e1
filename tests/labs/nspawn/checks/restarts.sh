# The daemon ends in every way there is, and so does the machine.

card=eth5
plug 00:11:22:33:44:99 $card
push "a card to change" network SUCCESS <<< '{"network": {"ethernets": {"eth5": {"mtu": 1500, "addresses": ["10.5.0.1/24"]}}}}'
# Whoever subscribes takes the events, so each round begins with none that wait.
# `timeout` ends it: 124 is how it should end.
drain() { guest timeout 2 cloud-channel subscribe --format json /cloudinit/i-lab/modules-config/network || [ $? = 124 ]; }
finishes() { drain | python3 -c '
import json, sys
print(*(e["result"] for line in sys.stdin for e in json.loads(line)["data"] if e["event_type"] == "finish"))'; }
at_rest() { guest cloud-channel status --format json | python3 -c '
import json, sys
lane = json.load(sys.stdin)["modules"]["network"]
sys.exit(lane["at_work"] + lane["waiting"])'; }

state() { guest sh -c "cat /sys/class/net/$card/mtu; sed -n '/$card:/,/mtu/s/.*mtu: //p' /etc/netplan/50-cloud-init.yaml" | xargs; }
drain > /dev/null
mtu=1500
for delay in 0.005 0.05 0.15 0.3 0.6; do
    mtu=$((mtu - 10))
    guest cloud-channel set --no-wait network - <<< "{\"network\": {\"ethernets\": {\"$card\": {\"mtu\": $mtu}}}}" > /dev/null
    sleep $delay
    guest systemctl kill --signal KILL cloud-channel
    patiently guest cloud-channel status --wait 20
    patiently at_rest
    must "killed $delay s after a push was accepted: one finish" same SUCCESS "$(finishes)"
    soon "… and it is done: file and kernel say $mtu" eval "[ \"\$(state)\" = '$mtu $mtu' ]"
done

interrupted=$(guest journalctl --unit cloud-channel --output cat --grep 'journal open pushes=1' --quiet | wc -l)
must "most of the five kills met a push at work: $interrupted" test "$interrupted" -ge 3

entries=$(networkd_entries) addresses=$(guest ip -brief address) files=$(guest sh -c 'ls -i --full-time /etc/netplan /run/systemd/network')
install -m 755 "$binary" "$ROOT/usr/bin/cloud-channel.new"
guest mv /usr/bin/cloud-channel.new /usr/bin/cloud-channel
must "an upgrade of the daemon restarts it" guest systemctl restart cloud-channel
must "… it is ready" guest cloud-channel status --wait 10
must "… networkd heard nothing of it" same "$entries" "$(networkd_entries)"
must "… no address changed" same "$addresses" "$(guest ip -brief address)"
must "… no file changed" same "$files" "$(guest sh -c 'ls -i --full-time /etc/netplan /run/systemd/network')"

reboot
must "after a reboot the daemon is ready" guest cloud-channel status --wait 30
must "what was pushed is still held" shows "$card" cloud-channel get network
plug 00:11:22:33:44:99 $card
soon "the card comes back as it was pushed" eval "[ \"\$(state)\" = '$mtu $mtu' ]"
soon "… with its address" shows '10.5.0.1/24' ip -brief address show dev $card
drain > /dev/null

mtu=$((mtu - 10))
guest cloud-channel set --no-wait network - <<< "{\"network\": {\"ethernets\": {\"$card\": {\"mtu\": $mtu}}}}" > /dev/null
power_cut
boot
plug 00:11:22:33:44:99 $card
must "after a power cut the daemon is ready" guest cloud-channel status --wait 30
patiently at_rest
ended=$(finishes)
must "the accepted push has one finish: $ended" eval '[ "$ended" = SUCCESS ] || [ "$ended" = WARN ]'
soon "file and kernel are as it said" eval "[ \"\$(state)\" = '$mtu $mtu' ]"
must "nothing has failed" lacks 'failed' systemctl --failed --no-legend --no-pager
