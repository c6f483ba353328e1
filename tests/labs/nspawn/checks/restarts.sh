# The daemon ends in every way there is, and so does the machine.

card=eth5
plug 00:11:22:33:44:99 $card
push "a card to change" network SUCCESS <<< '{"network": {"ethernets": {"eth5": {"mtu": 1500, "addresses": ["10.5.0.1/24"]}}}}'

state() { guest sh -c "cat /sys/class/net/$card/mtu; sed -n '/$card:/,/mtu/s/.*mtu: //p' /etc/netplan/50-cloud-init.yaml" | xargs; }
results > /dev/null
mtu=1500
for delay in 0.005 0.05 0.15 0.3 0.6; do
    mtu=$((mtu - 10))
    guest cloud-channel set --no-wait network - <<< "{\"network\": {\"ethernets\": {\"$card\": {\"mtu\": $mtu}}}}" > /dev/null
    sleep $delay
    guest systemctl kill --signal KILL cloud-channel
    patiently guest cloud-channel status --wait 20
    patiently at_rest
    must "killed $delay s after a push was accepted: one finish" same SUCCESS "$(results)"
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
results > /dev/null

mtu=$((mtu - 10))
guest cloud-channel set --no-wait network - <<< "{\"network\": {\"ethernets\": {\"$card\": {\"mtu\": $mtu}}}}" > /dev/null
power_cut
boot
plug 00:11:22:33:44:99 $card
must "after a power cut the daemon is ready" guest cloud-channel status --wait 30
# Somebody has to tell of the card, where the daemon does not hear of links by itself.
guest cloud-channel hotplug --nic 00:11:22:33:44:99
soon "… and at rest, with nothing that waits" network_says 'lane["at_work"] + lane["waiting"] == 0 and not lane["deferred"]'
ended=$(results)
must "the accepted push has one finish, or waited for the card and has another: $ended" eval '[[ "$ended" =~ ^(SUCCESS|WARN|WARN\ SUCCESS)$ ]]'
soon "file and kernel are as it said" eval "[ \"\$(state)\" = '$mtu $mtu' ]"
must "nothing has failed" lacks 'failed' systemctl --failed --no-legend --no-pager
