# Looking at the machine and saying what was seen. Sourced by both labs; `guest` is the lab's own.

passed=0 failed=0

# The last command of a pipe runs in this shell: what it counts is counted.
shopt -s lastpipe

say_ok() { passed=$((passed + 1)); echo "ok    $1"; }
skip() { echo "skip  $1"; }
say_bad() {
    failed=$((failed + 1))
    echo "FAIL  $1"
    sed 's/^/      | /' <<< "${2:-}"
}

# must TEXT COMMAND…: the command succeeds, now.
must() {
    local text=$1 output
    shift
    if output=$("$@" 2>&1); then say_ok "$text"; else say_bad "$text" "$output"; fi
}

# How long anything is waited for, and how long between two looks, in seconds.
PATIENCE=30 PAUSE=0.1

# patiently COMMAND…: until it succeeds, for PATIENCE at most.
patiently() {
    local end=$((SECONDS + PATIENCE))
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep "$PAUSE"
    done
}

# soon TEXT COMMAND…: the command succeeds before PATIENCE is over.
soon() {
    local text=$1
    shift
    if patiently "$@"; then say_ok "$text"; else say_bad "$text" "$("$@" 2>&1)"; fi
}

# push TEXT MODULE PATTERN [OPTION…] < PAYLOAD: the last line of `cloud-channel set` matches.
push() {
    local text=$1 module=$2 pattern=$3 output
    shift 3
    output=$(guest cloud-channel set "$module" - "$@" 2>&1) || true
    if grep -Eq "^$pattern" <<< "$(tail -1 <<< "$output")"; then say_ok "$text: $(tail -1 <<< "$output" | cut -c 1-150)"
    else say_bad "$text (expected: $pattern)" "$output"; fi
}

# shows PATTERN COMMAND…, lacks PATTERN COMMAND…: what a command of the guest prints.
shows() { local pattern=$1; shift; guest "$@" | grep -Eq -- "$pattern"; }
lacks() { ! shows "$@"; }

# Whatever networkd did since: nothing, if the two are the same.
networkd_entries() { guest journalctl --quiet --unit systemd-networkd --output cat | wc -l; }

same() { [ "$1" = "$2" ] || { printf 'was: %s\nis:  %s\n' "$1" "$2"; return 1; }; }

summary() {
    echo "=== $passed passed, $failed failed"
    [ "$failed" = 0 ]
}
