# What a machine is like, as text to compare, and what its daemon says. Sourced by both labs; `guest` is the lab's own.

labs=$(dirname "${BASH_SOURCE[0]}")

# kernel [LINK…]: links, addresses, routes, rules.
kernel() { guest python3 - "$@" < "$labs/kernel.py"; }

# files: every file that a renderer or a network stack may have written, byte by byte.
files() {
    guest sh -c 'find /etc/netplan /etc/network /etc/systemd/network /run/systemd/network /etc/udev/rules.d \
            /etc/NetworkManager -type f 2> /dev/null |
        sort | while read -r file; do stat --format "%n %a %U:%G" "$file"; cat "$file"; done'
}

# events: takes those that wait; a line for each that is about hardware or the network.
events() { guest python3 - < "$labs/events.py" || echo "no end of the events"; }

# finishes: of the same, a line for each push that ended, result first.
finishes() { events | sed -n 's/^finish //p'; }

# results: the same, results alone in one line.
results() { finishes | cut -d' ' -f1 | xargs; }

# network_says EXPRESSION: of the module's figures, as a condition in Python.
network_says() {
    guest cloud-channel status --format json |
        python3 -c "import json, sys; lane = json.load(sys.stdin)['modules']['network']; sys.exit(not ($1))"
}

on_trial() { network_says 'lane.get("on_trial_seconds") is not None'; }
at_rest() { network_says 'lane["at_work"] + lane["waiting"] == 0'; }

# is_as KERNEL FILES [LINK…]: both are.
is_as() {
    local kernel=$1 files=$2
    shift 2
    same "$kernel" "$(kernel "$@")" && same "$files" "$(files)"
}

# push_behind [OPTION…] < PAYLOAD: pushes, and goes on at once; `ended` waits for it. What it printed is in $LAB/pushed.
push_behind() {
    guest cloud-channel set network - "$@" > "$LAB/pushed" 2>&1 <&0 &
    pusher=$!
}

# ended TEXT PATTERN: the push of before ends, with this last line.
ended() {
    wait "$pusher" || true
    if tail -1 "$LAB/pushed" | grep -Eq "^$2"; then say_ok "$1: $(tail -1 "$LAB/pushed" | cut -c 1-150)"
    else say_bad "$1 (expected: $2)" "$(cat "$LAB/pushed")"; fi
}

# strike PATTERN COMMAND…: runs the command, and kills the daemon while it runs a command like PATTERN, which is printed.
strike() { guest python3 - "$@" < "$labs/strike.py"; }

# started_again: the daemon is ready, and has done what it was left with. systemd gives up on what is killed too often.
started_again() {
    guest systemctl reset-failed cloud-channel
    guest systemctl start cloud-channel
    if ! { patiently guest cloud-channel status --wait 30 && patiently at_rest; }; then
        say_bad "the daemon is not at rest $PATIENCE s after its start" "$(guest cloud-channel status 2>&1)"
    fi
}
