# A machine as Debian 12's own cloud-init leaves it: files that configure a card, and no network-config.json to merge into.

CARDS=(eth5)

whole() {
    echo '{"network": {"version": 2, "take-over": true, "ethernets": {"host0": {"addresses": ["192.0.2.2/24"], "mtu": 1400},
        "eth5": {"addresses": ["10.5.0.1/24"]}}}}'
}
is_up() { shows 'mtu 1400 ' ip link show host0 && shows 192.0.2.2/24 ip address show dev host0 && shows 10.5.0.1/24 ip address show dev eth5; }
says() { guest sh -c "$1 2>&1; true" | grep -Eq -- "$2"; }

for renderer in networkd eni network-manager; do
    echo "=== takeover: $renderer"
    power_off
    make_machine "$binary" "$top/packaging/systemd" "$renderer"
    rm "$ROOT/var/lib/cloud/instances/i-lab/network-config.json"
    boot
    kernel=$(kernel host0) files=$(files)
    push "a push for cloud-init's card is refused, and told how" network '.*take-over' \
        <<< '{"network": {"version": 2, "ethernets": {"host0": {"addresses": ["192.0.2.2/24"], "mtu": 1400}}}}'
    push "taking over without that card is refused by its name" network '.*`host0`' \
        <<< '{"network": {"version": 2, "take-over": true, "ethernets": {"eth5": {"addresses": ["10.5.0.1/24"]}}}}'
    must "taking over with no config is refused, too" says 'cloud-channel network take-over' 'host0'
    must "files and kernel are as they were" is_as "$kernel" "$files" host0
    whole | push "taking over with a config of all of it" network SUCCESS
    soon "the kernel has it" is_up
    must "cloud-init is told to leave the network alone" guest grep -q 'config: disabled' /etc/cloud/cloud.cfg.d/99-cloud-channel-network.cfg
    after=$(files)
    reboot
    soon "after a reboot the kernel has it again" is_up
    must "… and cloud-init has written nothing" same "$after" "$(files)"
    must "going back" guest cloud-channel network rollback
    soon "files, byte by byte, and kernel are as cloud-init left them" is_as "$kernel" "$files" host0
    must "cloud-init has the network again" lacks . ls /etc/cloud/cloud.cfg.d/99-cloud-channel-network.cfg
done
CARDS=()
