# Twelve cards at once.

cards_config() {
    local number
    for number in $(seq 9 20); do
        printf '"c%s": {"match": {"macaddress": "%s"}, "set-name": "c%s", "addresses": ["10.9.%s.1/24"]}\n' \
            "$number" "$(mac "$number")" "$number" "$number"
    done | paste -s -d, | sed 's/.*/{"network": {"version": 2, "ethernets": {&}}}/'
}
configured() { guest ip -brief address | grep -Ec '^c[0-9]+ +UP +10\.9\.'; }

cards_config | push "twelve cards that are not there are deferred" network 'WARN '
events > /dev/null
plug 9 20
soon "they are plugged at once, and all get their names and addresses" eval 'same 12 "$(configured)"'
soon "… the daemon is at rest" at_rest
events > "$LAB/heard"
starts=$(grep -c '^start' "$LAB/heard") || true
must "… after a handful of applies: $starts" test "$starts" -ge 1 -a "$starts" -le 4
must "… each ended well" same "$starts" "$(grep -Ec '^finish (SUCCESS|WARN)' "$LAB/heard")"
must "a subscriber heard of each card" same 12 "$(grep '^hotplug add' "$LAB/heard" | cut -d' ' -f4 | sort -u | wc -l)"
must "the daemon has lost no event" shows '0 lost' cloud-channel status
