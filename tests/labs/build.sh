# Building a Debian and putting the daemon into it. Sourced by both labs.

# need_tools PACKAGES TOOL…
need_tools() {
    local packages=$1 tool
    shift
    for tool; do
        command -v "$tool" > /dev/null || { echo "\`$tool\` is missing: install $packages" >&2; exit 2; }
    done
}

# debian_tree FOLDER PACKAGES [OPTION…]: Debian 12 with these packages. What is there afterwards is whole.
debian_tree() {
    local folder=$1 packages=$2 file
    shift 2
    for file in "${SOURCES:-}" /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        [ -s "$file" ] && break
    done
    echo "building Debian 12 in $folder from $file (some minutes)"
    rm -rf "$folder" "$folder.part"
    mkdir -p "$(dirname "$folder")"
    mmdebstrap --quiet --variant=minbase --include="$packages" "$@" bookworm "$folder.part" "$file"
    mv "$folder.part" "$folder"
}

# install_daemon ROOT BINARY UNITS < USER-DATA: the daemon as it is shipped, and a NoCloud seed without a network.
install_daemon() {
    local seed=$1/var/lib/cloud/seed/nocloud
    install -m 755 "$2" "$1/usr/bin/cloud-channel"
    install -m 644 "$3"/* "$1/lib/systemd/system/"
    mkdir -p "$seed"
    cat > "$seed/user-data"
    printf 'instance-id: i-lab\nlocal-hostname: lab\n' > "$seed/meta-data"
    echo 'datasource_list: [NoCloud]' > "$1/etc/cloud/cloud.cfg.d/90-lab.cfg"
    systemctl --quiet --root "$1" enable cloud-channel.service
}
