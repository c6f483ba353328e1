# The machine: how it is built, booted, plugged and ended. Sourced by `run`.

PACKAGES=systemd-sysv,udev,dbus,iproute2,netplan.io,cloud-init,kmod,initramfs-tools,linux-image-cloud-amd64,python3,procps,passwd,e2fsprogs
# Slots for cards that are plugged while it runs.
PORTS=20

build_base() { [ -e "$BASE/usr/sbin/netplan" ] || debian_tree "$BASE" "$PACKAGES"; }

# make_machine BINARY UNITS: a disk with a fresh copy, the daemon installed, a NoCloud seed and the lab's agent.
make_machine() {
    rm -rf "$ROOT" "$DISK"
    cp -a "$BASE" "$ROOT"
    : > "$ROOT/etc/machine-id"
    install_daemon "$ROOT" "$1" "$2" << 'USER'
#cloud-config
locale: false
ssh_genkeytypes: []
USER
    cat > "$ROOT/var/lib/cloud/seed/nocloud/network-config" << 'NETWORK'
version: 2
ethernets: {mgmt0: {match: {macaddress: "52:54:00:00:00:01"}, set-name: mgmt0, dhcp4: true}}
NETWORK
    install -D -m 644 "$here/agent.py" "$ROOT/usr/local/lib/lab/agent.py"
    install -m 644 "$here/agent.service" "$ROOT/etc/systemd/system/lab-agent.service"
    systemctl --quiet --root "$ROOT" enable lab-agent.service systemd-networkd.service
    listen_over_tls "$ROOT" "$LAB/tls"
    truncate --size 3G "$DISK"
    mkfs.ext4 -q -d "$ROOT" "$DISK"
}

boot() {
    local port slots=()
    for port in $(seq $PORTS); do slots+=(-device "pcie-root-port,id=slot$port,chassis=$port,slot=$port"); done
    qemu-system-x86_64 -accel tcg -machine q35 -cpu max -smp 1 -m 1G -nodefaults -no-user-config -display none \
        -kernel "$ROOT"/boot/vmlinuz-* -initrd "$ROOT"/boot/initrd.img-* \
        -append "root=/dev/vda rw console=ttyS0 quiet" -serial "file:$CONSOLE" \
        -drive "file=$DISK,format=raw,if=virtio,cache=unsafe" -object rng-random,id=rng,filename=/dev/urandom -device virtio-rng-pci,rng=rng \
        -netdev "user,id=mgmt,hostfwd=tcp:127.0.0.1:$FORWARDED-:8443" -device virtio-net-pci,netdev=mgmt,mac=52:54:00:00:00:01 \
        -device virtio-serial-pci -chardev "socket,id=lab,path=$RUN/port,server=on,wait=off" -device virtserialport,chardev=lab,name=lab \
        -qmp "unix:$RUN/qmp,server=on,wait=off" "${slots[@]}" 2>> "$LAB/qemu.log" &
    QEMU=$!
    patiently test -S "$RUN/port"
    python3 "$here/line.py" serve "$RUN/port" "$RUN/line" 2>> "$LAB/line.log" &
    LINE=$!
    up
}

# A boot takes a minute or two without the processor's help.
up() {
    patiently guest true || { echo "no boot within $PATIENCE s" >&2; return 1; }
    patiently guest test -S /run/dbus/system_bus_socket
    guest systemctl is-system-running --wait > /dev/null || true
}

guest() { timeout "$PATIENCE" python3 "$here/line.py" ask "$RUN/line" "$@"; }

# The management's words, over the first card.
remotely() {
    "$binary" "$@" --endpoint "wss://127.0.0.1:$FORWARDED/events" --token-file "$LAB/tls/token" --ca "$LAB/tls/ca.pem"
}

# cards FIRST LAST: the QMP commands that plug these cards.
cards() {
    local number
    for number in $(seq "$1" "$2"); do
        printf '{"execute": "netdev_add", "arguments": {"type": "user", "id": "net%s", "restrict": true}}\n' "$number"
        printf '{"execute": "device_add", "arguments": {"driver": "virtio-net-pci", "netdev": "net%s", "id": "card%s", "mac": "%s", "bus": "slot%s"}}\n' \
            "$number" "$number" "$(mac "$number")" "$number"
    done
}
mac() { printf '52:54:00:00:01:%02x' "$1"; }

# plug NUMBER [LAST]
plug() { cards "$1" "${2:-$1}" | python3 "$here/qmp.py" "$RUN/qmp"; }

# unplug NUMBER: until the guest has let it go.
unplug() {
    echo "{\"execute\": \"device_del\", \"arguments\": {\"id\": \"card$1\"}}" | python3 "$here/qmp.py" "$RUN/qmp" DEVICE_DELETED
    echo "{\"execute\": \"netdev_del\", \"arguments\": {\"id\": \"net$1\"}}" | python3 "$here/qmp.py" "$RUN/qmp"
}

# The link's name in the guest; fails if it is not there.
link_of() {
    guest ip -json link | python3 -c 'import json, sys
names = [link["ifname"] for link in json.load(sys.stdin) if link.get("permaddr", link.get("address")) == sys.argv[1]]
print(*names[:1]); sys.exit(not names)' "$(mac "$1")"
}
is_plugged() { link_of "$1" > /dev/null; }

boot_id() { guest cat /proc/sys/kernel/random/boot_id; }
is_another_boot() { local now; now=$(boot_id) && [ "$now" != "$1" ]; }

# The cards stay plugged.
reboot() {
    local before
    before=$(boot_id)
    guest systemctl reboot > /dev/null 2>&1 || true
    patiently is_another_boot "$before"
    up
}

end_machine() {
    local process
    for process in "${QEMU:-}" "${LINE:-}"; do
        [ -z "$process" ] || kill "$process" 2> /dev/null || true
    done
    wait 2> /dev/null || true
}
