# The machine: how it is built, booted, plugged and ended. Sourced by `run`.

# Ifupdown is left out, so that netplan is cloud-init's choice; dnsmasq answers DHCP from outside.
PACKAGES=systemd-sysv,udev,dbus,iproute2,netplan.io,cloud-init,python3,passwd,libpam-modules,kmod,procps,util-linux,dnsmasq-base

build_base() {
    [ -e "$BASE/usr/sbin/netplan" ] && return
    local file
    for file in "${SOURCES:-}" /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        [ -s "$file" ] && break
    done
    echo "building Debian 12 in $BASE from $file (two minutes)"
    rm -rf "$BASE"
    mmdebstrap --quiet --variant=minbase --include="$PACKAGES" bookworm "$BASE.part" "$file"
    mv "$BASE.part" "$BASE"
}

# make_machine BINARY UNITS: a fresh copy, with the daemon installed and a NoCloud seed.
make_machine() {
    rm -rf "$ROOT"
    cp -a "$BASE" "$ROOT"
    install -m 755 "$1" "$ROOT/usr/bin/cloud-channel"
    install -m 644 "$2"/* "$ROOT/lib/systemd/system/"
    : > "$ROOT/etc/machine-id"
    local seed=$ROOT/var/lib/cloud/seed/nocloud
    mkdir -p "$seed"
    printf 'instance-id: i-lab\nlocal-hostname: lab\n' > "$seed/meta-data"
    cat > "$seed/user-data" << 'USER'
#cloud-config
locale: false
ssh_genkeytypes: []
reporting:
  cloud-channel: {type: webhook, endpoint: "http://127.0.0.1:169/webhook", timeout: 5}
USER
    printf 'version: 2\nethernets: {host0: {addresses: [192.0.2.2/24]}}\n' > "$seed/network-config"
    echo 'datasource_list: [NoCloud]' > "$ROOT/etc/cloud/cloud.cfg.d/90-lab.cfg"
    systemctl --quiet --root "$ROOT" enable cloud-channel.service systemd-networkd.service
}

# The container's other ends live in a network namespace of their own: this machine's network is not touched.
boot() {
    ip netns list | grep -q "^$OUTSIDE\b" || ip netns add "$OUTSIDE"
    # A pseudo-terminal, since the made-up passwords go to the console. Not `ip netns exec`: it hides the cgroups.
    nsenter --net="/run/netns/$OUTSIDE" systemd-nspawn --quiet --register=no --keep-unit --directory="$ROOT" \
        --machine=cclab --network-veth --boot --console=read-only --resolv-conf=off --timezone=off \
        --link-journal=no < /dev/null >> "$CONSOLE" 2>&1 &
    NSPAWN=$!
    up
}

# The outer end of the machine's first card, and until all is started.
up() {
    patiently outside ip link set ve-cclab up
    outside ip address replace 192.0.2.1/24 dev ve-cclab
    patiently guest test -S /run/dbus/system_bus_socket
    guest systemctl is-system-running --wait > /dev/null || true
}

leader() { pgrep --parent "$NSPAWN" | head -1; }

guest() {
    nsenter --target "$(leader)" --all env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}

outside() { nsenter --net="/run/netns/$OUTSIDE" "$@"; }

# plug MAC NAME: a card appears in the machine; its other end is out-NAME.
plug() {
    outside ip link add "out-$2" type veth peer name "$2" address "$1" netns "$(leader)"
    outside ip link set "out-$2" up
}

power_off() {
    [ -n "${NSPAWN:-}" ] && kill -0 "$NSPAWN" 2> /dev/null || return 0
    end_with poweroff
}

# The container ends at a reboot as well (nspawn leaves the next start to a service manager).
reboot() {
    end_with reboot
    boot
}

# The command's own end is not to be had: it goes with the machine.
end_with() {
    guest systemctl "$1" > /dev/null 2>&1 || true
    patiently gone "$NSPAWN" || kill -KILL "$NSPAWN"
    wait "$NSPAWN" 2> /dev/null || true
}

gone() { ! kill -0 "$1" 2> /dev/null; }

# As if the cable was pulled: nothing inside has a chance to end well.
power_cut() {
    kill -KILL "$(leader)"
    wait "$NSPAWN" 2> /dev/null || true
}
