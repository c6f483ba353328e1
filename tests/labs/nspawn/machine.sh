# The machine: how it is built, booted, plugged and ended. Sourced by `run`.

# dnsmasq answers DHCP from outside.
PACKAGES=systemd-sysv,udev,dbus,iproute2,netplan.io,cloud-init,python3,passwd,libpam-modules,kmod,procps,util-linux,dnsmasq-base
# Not installed, so that netplan is cloud-init's choice, but at hand in a folder of the machine's /opt.
IFUPDOWN=(ifupdown ifenslave bridge-utils isc-dhcp-client)
NETWORK_MANAGER=(network-manager)

# Cards that are there when the machine boots, beside the first.
CARDS=()

build_base() {
    [ -e "$BASE/usr/sbin/netplan" ] && [ -e "$BASE/opt/ifupdown" ] && [ -e "$BASE/opt/network-manager" ] && return
    local hooks=()
    lay_at_hand ifupdown "${IFUPDOWN[@]}"
    lay_at_hand network-manager "${NETWORK_MANAGER[@]}"
    debian_tree "$BASE" "$PACKAGES" "${hooks[@]}"
}

# lay_at_hand FOLDER PACKAGE…: adds to `hooks`, of mmdebstrap, those that lay the packages and what they need there.
lay_at_hand() {
    local folder=$1
    shift
    hooks+=(--customize-hook='chroot "$1" apt-get clean'
        --customize-hook="chroot \"\$1\" apt-get install --yes --no-install-recommends --download-only $*"
        --customize-hook="mkdir -p \"\$1/opt/$folder\" && mv \"\$1\"/var/cache/apt/archives/*.deb \"\$1/opt/$folder/\"")
}

# install_at_hand FOLDER: installs what was laid there.
install_at_hand() {
    chroot "$ROOT" sh -c "DEBIAN_FRONTEND=noninteractive dpkg --install /opt/$1/*.deb" > "$LAB/$1.log" 2>&1
}

# make_machine BINARY UNITS [RENDERER]: a fresh copy, with the daemon installed and a NoCloud seed. Without a renderer,
# the choice is cloud-init's.
make_machine() {
    rm -rf "$ROOT"
    cp -a "$BASE" "$ROOT"
    : > "$ROOT/etc/machine-id"
    install_daemon "$ROOT" "$1" "$2" << 'USER'
#cloud-config
locale: false
ssh_genkeytypes: []
reporting:
  cloud-channel: {type: webhook, endpoint: "http://127.0.0.1:169/webhook", timeout: 5}
USER
    printf 'version: 2\nethernets: {host0: {addresses: [192.0.2.2/24]}}\n' > "$ROOT/var/lib/cloud/seed/nocloud/network-config"
    [ -z "${3:-}" ] || choose_renderer "$3"
    case ${3:-} in
        eni | network-manager) ;;
        *) systemctl --quiet --root "$ROOT" enable systemd-networkd.service ;;
    esac
}

choose_renderer() {
    printf 'system_info: {network: {renderers: [%s]}}\n' "$1" > "$ROOT/etc/cloud/cloud.cfg.d/91-renderer.cfg"
    # As cloud-init leaves it from 23.4 on; Debian 12 has an older one, whose files could not be merged into.
    local instance=$ROOT/var/lib/cloud/instances/i-lab
    mkdir -p "$instance"
    echo '{"version": 2, "ethernets": {"host0": {"addresses": ["192.0.2.2/24"]}}}' > "$instance/network-config.json"
    case $1 in
        eni) install_at_hand ifupdown ;;
        network-manager) install_network_manager ;;
    esac
}

# Its udev rules leave cards alone that are one end of a pair and not called `eth…`. Containers have no udev: it manages all.
install_network_manager() {
    local drop_ins=$ROOT/etc/NetworkManager/conf.d
    install_at_hand network-manager
    # As servers have it (NetworkManager's own examples/server.conf): without, a card that nobody configured asks for DHCP,
    # gives up and begins anew, and is never twice the same.
    printf '[main]\nno-auto-default=*\n' > "$drop_ins/10-server.conf"
    # As after a firewall: it is long not there when the daemon takes up what the boot before has left.
    mkdir -p "$ROOT/etc/systemd/system/NetworkManager.service.d"
    printf '[Service]\nExecStartPre=/bin/sleep 2\n' > "$ROOT/etc/systemd/system/NetworkManager.service.d/late.conf"
    # As cloud-init leaves it from 23.1 on. Without, the first push would change link-local addresses at the next boot.
    printf '[connection.30-cloud-init-ip6-addr-gen-mode]\nipv6.addr-gen-mode=0\n' > "$drop_ins/30-cloud-init-ip6-addr-gen-mode.conf"
}

# The container's other ends live in a network namespace of their own: this machine's network is not touched.
boot() {
    local card extra=()
    for card in "${CARDS[@]}"; do extra+=("--network-veth-extra=out-$card:$card"); done
    ip netns list | grep -q "^$OUTSIDE\b" || ip netns add "$OUTSIDE"
    # A pseudo-terminal, since the made-up passwords go to the console. Not `ip netns exec`: it hides the cgroups.
    nsenter --net="/run/netns/$OUTSIDE" systemd-nspawn --quiet --register=no --keep-unit --directory="$ROOT" \
        --machine="$MACHINE" --network-veth "${extra[@]}" --boot --console=read-only --resolv-conf=off --timezone=off \
        --link-journal=no < /dev/null >> "$CONSOLE" 2>&1 &
    NSPAWN=$!
    up
}

# The outer end of the machine's first card, and until all is started.
up() {
    patiently outside ip link set "ve-$MACHINE" up
    outside ip address replace 192.0.2.1/24 dev "ve-$MACHINE"
    local card
    for card in "${CARDS[@]}"; do patiently outside ip link set "out-$card" up; done
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
