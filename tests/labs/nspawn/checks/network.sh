# Pushes against networkd itself.

# What others did to the first card must stand through all of it.
guest ip address add 192.0.2.99/24 dev host0
guest ip route add 203.0.113.0/24 via 192.0.2.1
first_card() { guest sh -c 'ip -4 -brief address show dev host0; ip route show dev host0'; }
before=$(first_card)

plug 00:11:22:33:44:55 eth7
file=$(guest cat /etc/netplan/50-cloud-init.yaml)
links=$(guest ip -brief link show)
# A veth has no permanent address, which netplan's generator asks for: networkd never takes the card.
push "what cannot be verified fails, and says that it is undone" network 'FAIL .*everything was put back' << 'JSON'
{"network": {"ethernets": {"lan": {"match": {"macaddress": "00:11:22:33:44:55"}, "set-name": "ens7", "mtu": 1400}}}}
JSON
must "the file is as it was" same "$file" "$(guest cat /etc/netplan/50-cloud-init.yaml)"
must "the links are as they were: names, states, MTU" same "$links" "$(guest ip -brief link show)"

static() {
    cat << JSON
{"network": {"version": 2, "ethernets": {"lan": {"match": {"name": "eth7"}, "set-name": "ens7", "mtu": 1400,
 "addresses": ["198.51.100.7/24", "2001:db8::7/64"], "routes": [{"to": "10.7.0.0/16", "via": "198.51.100.1"}]}}}}
JSON
}
static | push "a static card with a name, an MTU and a route" network 'SUCCESS .*successfully$'
must "the kernel has its name and MTU" shows 'mtu 1400 ' ip link show ens7
must "… its addresses" shows '198.51.100.7/24 .*2001:db8::7/64' ip -brief address show dev ens7
soon "… and its route" shows '^10.7.0.0/16 via 198.51.100.1' ip route show dev ens7
must "the file's mode is 0600" shows '^600$' stat -c %a /etc/netplan/50-cloud-init.yaml
must "what cloud-init had configured is still in it" shows 'host0' cat /etc/netplan/50-cloud-init.yaml

soon "networkd is at rest" shows 'ens7 +ether +routable +configured' networkctl list --no-pager --no-legend
entries=$(networkd_entries) generated=$(guest sh -c 'ls -i --full-time /run/systemd/network')
static | push "the same push again" network 'SUCCESS .*nothing to change'
must "… networkd heard nothing of it" same "$entries" "$(networkd_entries)"
must "… and no generated file was written" same "$generated" "$(guest sh -c 'ls -i --full-time /run/systemd/network')"

plug 00:11:22:33:44:66 eth8
push "a change that networkd alters (IPv6 needs 1280) fails" network 'FAIL .*MTU 1280, expected 1000; everything was put back' << 'JSON'
{"network": {"ethernets": {"eth8": {"mtu": 1000, "addresses": ["10.8.0.1/24", "2001:db8:8::1/64"]}}}}
JSON
must "the card is down again, with its old MTU" shows 'mtu 1500 .*state DOWN' ip link show eth8
must "… and without addresses" lacks 'inet' ip address show dev eth8

outside chroot "$ROOT" dnsmasq --no-daemon --port=0 --interface=out-eth8 --bind-dynamic --dhcp-range=10.8.0.100,10.8.0.100 \
    --leasefile-ro --log-facility=/dev/null > /dev/null 2>&1 &
dhcp=$!
outside ip address add 10.8.0.1/24 dev out-eth8
push "dhcp4" network 'SUCCESS' <<< '{"network": {"ethernets": {"eth8": {"dhcp4": true}}}}'
soon "the server's address arrives" shows '10.8.0.100/24' ip -brief address show dev eth8
kill "$dhcp"

push "a bridge over a card that is not there yet waits" network 'WARN .*`br0` waits until `eth9` is there' << 'JSON'
{"network": {"ethernets": {"eth9": {}}, "bridges": {"br0": {"interfaces": ["eth9"], "addresses": ["10.9.0.1/24"], "parameters": {"stp": false}}}}}
JSON
must "… nothing is made" lacks 'br0' ip -brief link show
plug 00:11:22:33:44:77 eth9
# Containers have no udev, so that somebody has to tell of it where the daemon does not hear of links by itself.
guest cloud-channel hotplug --nic 00:11:22:33:44:77
soon "the card joins when it is plugged" shows 'master br0' ip link show eth9
soon "the bridge gets its address" shows '10.9.0.1/24' ip -brief address show dev br0
push "removed again" network 'SUCCESS' <<< '{"network": {"bridges": {"br0": null}, "ethernets": {"eth9": null}}}'
must "the bridge is gone from the kernel" lacks 'br0' ip -brief link show

for kind in vlan bond; do
    if outside ip link add link lo name probe type $kind id 3 2> /dev/null || outside ip link add probe type $kind 2> /dev/null; then
        outside ip link delete probe
        case $kind in
            vlan) push "a VLAN" network SUCCESS <<< '{"network": {"vlans": {"v9": {"id": 9, "link": "lan", "addresses": ["10.10.0.1/24"]}}}}' ;;
            bond) push "a bond" network SUCCESS <<< '{"network": {"ethernets": {"eth9": {}}, "bonds": {"bond0": {"interfaces": ["eth9"], "addresses": ["10.11.0.1/24"]}}}}' ;;
        esac
    else
        skip "$kind: this kernel has none"
        file=$(guest cat /etc/netplan/50-cloud-init.yaml)
        case $kind in
            vlan) push "a VLAN that the kernel cannot make" network 'FAIL .*put back' <<< '{"network": {"vlans": {"v9": {"id": 9, "link": "lan"}}}}' ;;
            bond) push "a bond that the kernel cannot make" network 'FAIL .*put back' <<< '{"network": {"ethernets": {"eth9": {}}, "bonds": {"bond0": {"interfaces": ["eth9"]}}}}' ;;
        esac
        must "… and the file is as it was" same "$file" "$(guest cat /etc/netplan/50-cloud-init.yaml)"
    fi
done

echo 'network: {version: 2, ethernets: {admins: {match: {name: adm0}, dhcp4: true}}}' | guest sh -c 'umask 077; cat > /etc/netplan/90-admin.yaml'
push "another file's device is refused, by that file's name" network '.*409|.*90-admin.yaml' <<< '{"network": {"ethernets": {"admins": {"match": {"name": "adm0"}, "mtu": 1400}}}}'
guest rm /etc/netplan/90-admin.yaml
must "through all of it, what others did to the first card stands" same "$before" "$(first_card)"
