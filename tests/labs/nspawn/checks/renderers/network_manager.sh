# What NetworkManager does by itself, and what must not get in the way of a change or of its undo.

# taken_back TEXT [COMMAND…] < PAYLOAD: the change is tried, the command is run, and a word takes the change back.
taken_back() {
    local text=$1 kernel files
    shift
    kernel=$(kernel) files=$(files)
    push_behind --confirm-within 60
    soon "$text is on trial" on_trial
    "$@"
    must "… a word takes it back" guest cloud-channel network rollback
    ended "… at once" 'FAIL .*asked for it; everything was put back'
    soon "… files and kernel are as before" is_as "$kernel" "$files"
}
started_anew() {
    guest systemctl restart NetworkManager
    soon "… NetworkManager, started anew, has the card" has eth5 'cloud-init eth5'
}
# has LINK [PROFILE]: the link has this profile, and IPv6 as well by now; without a profile, it has none.
has() {
    shows "^$1:connected.*:${2:-}\$" nmcli --get-values DEVICE,STATE,CONNECTION device && shows fe80 ip address show dev "$1"
}
makes_one() { shows ':eth6$' nmcli --get-values NAME,DEVICE connection && shows fe80 ip address show dev eth6; }
server=$ROOT/etc/NetworkManager/conf.d/10-server.conf

old_config | push "the old config" network SUCCESS
soon "… is there" is_as "$old_kernel" "$old_files"

taken_back "a MAC address" started_anew <<< '{"network": {"ethernets": {"eth5": {"macaddress": "02:00:00:00:05:05"}}}}'

outside ip link set out-eth5 down
soon "a card with static addresses is unplugged" shows NO-CARRIER ip link show dev eth5
push "… a change of its MAC address" network SUCCESS <<< '{"network": {"ethernets": {"eth5": {"macaddress": "02:00:00:00:05:06"}}}}'
outside ip link set out-eth5 up
soon "… is there when it is plugged again" shows 'LOWER_UP.* 02:00:00:00:05:06 ' ip -oneline link show dev eth5
push "the config of before" network '(SUCCESS|WARN .*keeps the MAC address)' <<< '{"network": {"ethernets": {"eth5": {"macaddress": null}}}}'
soon "… is there" is_as "$old_kernel" "$old_files"

# What others did to the first card stands through changes of the others.
guest ip address add 192.0.2.99/24 dev host0
push "a bridge" network SUCCESS <<< '{"network": {"bridges": {"br0": {"interfaces": ["eth6"], "addresses": ["10.7.0.1/24"]}}}}'
soon "… is up" has br0 'cloud-init br0'
taken_back "another MAC address of the bridge" true <<< '{"network": {"bridges": {"br0": {"macaddress": "02:00:00:00:07:07"}}}}'
guest ip address delete 192.0.2.99/24 dev host0
push "the bridge and its card are removed" network SUCCESS <<< '{"network": {"bridges": {"br0": null}, "ethernets": {"eth6": null}}}'

push "a card that is brought up by hand" network SUCCESS <<< '{"network": {"ethernets": {"eth6": {"activation-mode": "manual", "addresses": ["10.8.0.1/24"]}}}}'
must "… stays down" lacks . nmcli --get-values GENERAL.CONNECTION device show eth6
must "… until somebody does" guest nmcli connection up 'cloud-init eth6'
soon "… it is up" has eth6 'cloud-init eth6'
taken_back "its removal" true <<< '{"network": {"ethernets": {"eth6": null}}}'
push "its removal" network SUCCESS <<< '{"network": {"ethernets": {"eth6": null}}}'

guest ip address add 10.99.0.1/24 dev eth6
soon "NetworkManager tells what others did to a card" shows 'externally' nmcli --get-values DEVICE,STATE device
push "… which gets its config all the same" network SUCCESS <<< '{"network": {"ethernets": {"eth6": {"addresses": ["10.8.0.1/24"]}}}}'
push "… and is nobody's again" network SUCCESS <<< '{"network": {"ethernets": {"eth6": null}}}'

mv "$server" "$LAB/server.conf"
guest systemctl restart NetworkManager
soon "without \`no-auto-default\`, NetworkManager makes a profile for that card" makes_one
taken_back "a config for it" true <<< '{"network": {"ethernets": {"eth6": {"addresses": ["10.8.0.1/24"]}}}}'
mv "$LAB/server.conf" "$server"
guest systemctl restart NetworkManager

old_config | push "the old config" network SUCCESS
soon "… is there" is_as "$old_kernel" "$old_files"
