# The daemon ends at known moments of a change, without a chance to end well; and so does the machine.

case $renderer in
    netplan) commands=('netplan generate' 'networkctl reload' 'networkctl reconfigure') ;;
    networkd) commands=('networkctl reload' 'networkctl reconfigure') ;;
    eni) commands=('/ifdown ' '/ifup ') ;;
    network-manager) commands=('nmcli connection load' 'nmcli device reapply' 'nmcli .*connection up') ;;
esac
results > /dev/null
new_config > "$ROOT/root/new.json"

for command in "${commands[@]}"; do
    struck=$(strike "$command" cloud-channel set network /root/new.json --no-wait --confirm-within 3) || true
    must "killed during \`$(tail -c 60 <<< "$struck")\`" test -n "$struck"
    started_again
    must "… one finish: nobody confirmed it" same FAIL "$(results)"
    soon "… files and kernel are as before" is_as "$old_kernel" "$old_files"

    struck=$(strike "$command" cloud-channel set network /root/new.json --no-wait) || true
    must "killed during \`$(tail -c 60 <<< "$struck")\`, without a trial" test -n "$struck"
    started_again
    must "… one finish: it is done" same SUCCESS "$(results)"
    soon "… files and kernel are as asked" is_as "$new_kernel" "$new_files"
    old_config | push "… and back" network SUCCESS
    soon "… files and kernel are as before" is_as "$old_kernel" "$old_files"
    results > /dev/null
done

begin_trial() {
    guest cloud-channel set network /root/new.json --no-wait --confirm-within 60
    soon "a change is on trial" on_trial
    soon "… and in the kernel" new_is_up
}

begin_trial
guest systemctl kill --signal KILL cloud-channel
started_again
ends=$(finishes)
must "killed during the trial, one finish: $ends" eval '[[ "$ends" =~ ^FAIL.*stopped\ before.*everything\ was\ put\ back ]] && [ "$(wc -l <<< "$ends")" = 1 ]'
soon "… files and kernel are as before" is_as "$old_kernel" "$old_files"

begin_trial
struck=$(strike 'networkctl|/ifdown |/ifup |nmcli ' cloud-channel network rollback) || true
must "killed while it is taken back, during \`$(tail -c 60 <<< "$struck")\`" test -n "$struck"
started_again
must "… one finish" same FAIL "$(results)"
soon "… files and kernel are as before" is_as "$old_kernel" "$old_files"

begin_trial
guest systemctl stop cloud-channel
started_again
must "stopped during the trial: one finish" same FAIL "$(results)"
soon "… files and kernel are as before" is_as "$old_kernel" "$old_files"

begin_trial
power_cut
boot
started_again
ends=$(finishes)
must "a power cut during the trial, one finish: $ends" eval '[[ "$ends" =~ ^FAIL.*stopped\ before ]] && [ "$(wc -l <<< "$ends")" = 1 ]'
must "… every file is as before" same "$old_files" "$(files)"
soon "… and so is the kernel" is_as "$old_kernel" "$old_files"
