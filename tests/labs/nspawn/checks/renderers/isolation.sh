# Pushes over the network, from outside, by somebody who may be cut off by them.

# The management's words: cloud-channel in the namespace on the other end of the cards.
remotely_at() {
    local address=$1
    shift
    outside "$binary" "$@" --endpoint "wss://$address:8443/events" --token-file "$LAB/tls/token" --ca "$LAB/tls/ca.pem"
}
is_reached_at() { outside timeout 1 bash -c ": < /dev/tcp/$1/8443"; }
is_cut_off_at() { ! is_reached_at "$1"; }
failures() { guest cloud-channel status --format json | python3 -c 'import json, sys; print(json.load(sys.stdin)["modules"]["network"]["results"]["fail"])'; }
outside ip address replace 10.5.0.9/24 dev out-eth5

soon "management reaches the machine over its first card" is_reached_at 192.0.2.2
new_config | remotely_at 192.0.2.2 set network - > "$LAB/pushed" 2>&1 || true
must "a push that cuts nobody off is confirmed by its sender's being there: $(tail -1 "$LAB/pushed")" grep -q '^SUCCESS' "$LAB/pushed"
soon "… files and kernel are as asked" is_as "$new_kernel" "$new_files"
before=$(failures)
old_config | remotely_at 192.0.2.2 set network - --no-wait --confirm-within 3
soon "a sender that goes away has its push taken back" eval '[ "$(failures)" = $((before + 1)) ]'
soon "… files and kernel are as before" is_as "$new_kernel" "$new_files"
old_config | push "the old config, from inside" network SUCCESS
soon "… is there" is_as "$old_kernel" "$old_files"

before=$(failures)
soon "management reaches the machine over its second card" is_reached_at 10.5.0.1
remotely_at 10.5.0.1 set network - --confirm-within 10 > "$LAB/pushed" 2>&1 < <(new_config) &
pusher=$!
soon "a push that takes that card's address away cuts it off" is_cut_off_at 10.5.0.1
soon "… the machine comes back by itself" is_reached_at 10.5.0.1
soon "… the push has failed" eval '[ "$(failures)" = $((before + 1)) ]'
soon "… files and kernel are as before" is_as "$old_kernel" "$old_files"
soon "… management can speak to it again" remotely_at 10.5.0.1 status
wait "$pusher" || true
echo "      its sender saw: $(tail -1 "$LAB/pushed" | cut -c 1-150)"
results > /dev/null
