# Changes that wait to be confirmed: by nobody, by a word, by the contrary.

must "the daemon is ready" guest cloud-channel status --wait 30
must "$renderer is served" shows "\"renderer\": ?\"$renderer\"" cloud-channel get network
first_config | push "the first config" network 'SUCCESS .*successfully$'
soon "… is in the kernel" eval "shows '^10.50.0.0/16' ip route show dev eth5 && shows fe80 ip address show dev eth5"
first_kernel=$(kernel) first_files=$(files)

new_config | push_behind --confirm-within 10
soon "a change is on trial" on_trial
soon "a change on trial is in the kernel" new_is_up
ended "nobody confirms it" 'FAIL .*not confirmed within 10 s.*; everything was put back'
must "… every file is as before" same "$first_files" "$(files)"
soon "… and so is the kernel; the bridge is gone, and the card that was nobody's is nobody's" eval 'same "$first_kernel" "$(kernel)"'

old_config | push "the config of before, with the second card" network 'SUCCESS .*successfully$'
soon "… is in the kernel" old_is_up
old_kernel=$(kernel) old_files=$(files)

new_config | push_behind --confirm-within 60
soon "a change is on trial" on_trial
must "a word takes a change back" guest cloud-channel network rollback
ended "… at once" 'FAIL .*asked for it; everything was put back'
soon "… files and kernel are as before" is_as "$old_kernel" "$old_files"

new_config | push_behind --confirm-within 60
soon "a change is on trial" on_trial
must "a word confirms another" guest cloud-channel network confirm
ended "… which stays" 'SUCCESS .*successfully$'
soon "… in the kernel" new_is_up
new_kernel=$(kernel) new_files=$(files)
must "… in files that are not those of before" eval '[ "$new_files" != "$old_files" ]'

old_config | push_behind --confirm-within 60
soon "a change is on trial" on_trial
soon "the way back is on trial: the bridge is gone" old_is_up
must "… a word takes it back" guest cloud-channel network rollback
ended "… at once" 'FAIL .*asked for it; everything was put back'
soon "… files and kernel are as before, the bridge made anew" is_as "$new_kernel" "$new_files"

old_config | push "the way back" network 'SUCCESS .*successfully$'
soon "… files and kernel are what they were" is_as "$old_kernel" "$old_files"

# What no network stack gives back by itself.
for change in '{"ethernets": {"eth5": {"macaddress": "02:00:00:00:05:05"}}}' \
    '{"ethernets": {"eth5": {"addresses": [], "routes": []}}, "bridges": {"br5": {"interfaces": ["eth5"], "parameters": {"stp": false}}}}'; do
    push_behind --confirm-within 60 <<< "{\"network\": $change}"
    soon "a change is on trial" on_trial
    must "a word takes back ${change:0:60}…" guest cloud-channel network rollback
    ended "… at once" 'FAIL .*asked for it; everything was put back'
    soon "… files and kernel are as before, MAC and link-local addresses too" is_as "$old_kernel" "$old_files"
done

for kind in vlan bond; do
    case $kind in
        vlan)
            probe=(link eth5 name probe type vlan id 3) link=v9
            device='{"vlans": {"v9": {"id": 9, "link": "eth5", "addresses": ["10.9.0.1/24"]}}}'
            ;;
        bond)
            probe=(probe type bond) link=bond0
            device='{"ethernets": {"eth6": {}}, "bonds": {"bond0": {"interfaces": ["eth6"], "addresses": ["10.9.0.1/24"]}}}'
            ;;
    esac
    if guest ip link add "${probe[@]}" 2> /dev/null; then
        guest ip link delete probe
        push_behind --confirm-within 60 <<< "{\"network\": $device}"
        soon "a change is on trial" on_trial
        must "a $kind on trial has its address" shows '10.9.0.1/24' ip -brief address show dev "$link"
        must "… a word takes it back" guest cloud-channel network rollback
        ended "… at once" 'FAIL .*asked for it; everything was put back'
        soon "… files and kernel are as before" is_as "$old_kernel" "$old_files"
    else
        skip "a $kind on trial: this kernel has none"
    fi
done
