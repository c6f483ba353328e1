# Cards that come and go, as a subscriber hears of them. Nothing but the daemon tells of them: there is no udev rule of ours.

events > /dev/null
plug 5
soon "a card is plugged" is_plugged 5
heard() { events >> "$LAB/heard"; grep -Eq "$1" "$LAB/heard"; }
: > "$LAB/heard"
soon "… the subscriber hears of it" heard "^hotplug add [a-z0-9]+ $(mac 5)"
name=$(link_of 5)
unplug 5
soon "it is pulled" eval '! is_plugged 5'
soon "… the subscriber hears of that" heard "^hotplug remove [a-z0-9]+ $(mac 5)"

guest systemctl stop cloud-channel.service cloud-channel.socket
plug 5
soon "a card is plugged while the daemon is down" is_plugged 5
guest systemctl start cloud-channel.socket cloud-channel.service
must "… which is started again" guest cloud-channel status --wait 60
: > "$LAB/heard"
soon "… and tells of it" heard "^hotplug add [a-z0-9]+ $(mac 5)"
must "… once" same 1 "$(grep -c "^hotplug add .* $(mac 5)" "$LAB/heard")"
unplug 5
soon "it is pulled" heard "^hotplug remove [a-z0-9]+ $(mac 5)"
must "each came and went once" same "1 1" "$(grep -c '^hotplug add' "$LAB/heard") $(grep -c '^hotplug remove' "$LAB/heard")"
