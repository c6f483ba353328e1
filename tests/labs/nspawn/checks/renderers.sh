# Changes of the network on a machine of each renderer: tried, confirmed, taken back, and cut short in every way.

CARDS=(eth5 eth6)
SEED=${SEED:-$RANDOM$RANDOM}
make_certificates "$LAB/tls" 192.0.2.2 10.5.0.1

# Two configs of the same cards, which differ in all that a change can be about; and the first of them without the second card.
first_config() {
    echo '{"network": {"version": 2, "ethernets": {"eth5": {"mtu": 1500, "addresses": ["10.5.0.1/24"],
        "routes": [{"to": "10.50.0.0/16", "via": "10.5.0.9"}]}}}}'
}
old_config() {
    echo '{"network": {"version": 2, "bridges": {"br0": null}, "ethernets": {"eth6": {}, "eth5": {"mtu": 1500, "addresses": ["10.5.0.1/24"],
        "routes": [{"to": "10.50.0.0/16", "via": "10.5.0.9"}], "routing-policy": null}}}}'
}
new_config() {
    echo '{"network": {"version": 2, "ethernets": {"eth6": {}, "eth5": {"mtu": 1400, "addresses": ["10.6.0.1/24", "2001:db8:6::1/64"],
        "routes": [{"to": "10.60.0.0/16", "via": "10.6.0.9"}, {"to": "10.61.0.0/16", "via": "10.6.0.9", "table": 61}],
        "routing-policy": [{"from": "10.6.0.0/24", "table": 61, "priority": 610}]}},
        "bridges": {"br0": {"interfaces": ["eth6"], "addresses": ["10.7.0.1/24"], "parameters": {"stp": false}}}}}'
}
# What the kernel has of them comes one after another. A card without addresses is not brought up by ifupdown. NetworkManager
# makes the routes to the networks of addresses itself.
old_is_up() {
    shows '^10.50.0.0/16' ip route show dev eth5 && shows fe80 ip address show dev eth5 && lacks . ip -brief link show type bridge &&
        { [ "$renderer" = eni ] || shows fe80 ip address show dev eth6; } &&
        lacks 610 ip rule show && lacks '10.6.0.1' ip address show dev eth5
}
new_is_up() {
    shows '^10.60.0.0/16' ip route show dev eth5 && shows '^10.61.0.0/16' ip route show table 61 && shows '^610:' ip rule show &&
        shows '2001:db8:6::1/64 scope global( noprefixroute)? *$' ip address show dev eth5 && shows '10.7.0.1/24.*fe80' ip -brief address show dev br0 &&
        shows 'master br0 .*state UP' ip link show eth6 && lacks '10.5.0.1' ip address show dev eth5
}

for renderer in ${RENDERERS:-netplan networkd eni network-manager}; do
    power_off
    make_machine "$binary" "$top/packaging/systemd" "$renderer"
    listen_over_tls "$ROOT" "$LAB/tls"
    boot
    parts=(trials strikes isolation kills)
    [ "$renderer" != network-manager ] || parts+=(network_manager)
    for part in "${parts[@]}"; do
        echo "=== renderers: $renderer: $part"
        . "$here/checks/renderers/$part.sh"
    done
done
CARDS=()
