# The first boot: the units, their hardening, cloud-init's events.

soon "the machine is up, and nothing has failed" shows '^running$' systemctl is-system-running
must "the service is active, as it said itself" shows 'active' systemctl show --property ActiveState --value cloud-channel
must "it is of Type=notify" shows '^notify$' systemctl show --property Type --value cloud-channel
must "systemd holds the Unix socket, root's alone" same "600 root" "$(guest stat -c '%a %U' /run/cloud-channel/events.sock)"
must "the webhook listens on 127.0.0.1:169" shows '127.0.0.1:169 ' ss --listening --tcp --numeric --no-header
must "the daemon says that it is ready" guest cloud-channel status --wait 10
must "the units are right for this systemd" guest systemd-analyze verify --man=no \
    cloud-channel.service cloud-channel.socket cloud-channel-vsock.socket
exposure=$(guest systemd-analyze security --no-pager cloud-channel.service | tail -1)
must "the unit's exposure is 3.5 of 10 at most: $exposure" \
    awk '{ for (i = 1; i < NF; i++) if ($i == "cloud-channel.service:") exit !($(i + 1) <= 3.5); exit 1 }' <<< "$exposure"
must "the daemon cannot get new privileges" shows 'NoNewPrivs:.1' sh -c 'cat /proc/$(pidof cloud-channel)/status'
must "/usr is read-only for it" guest sh -c '! nsenter --target $(pidof cloud-channel) --mount touch /usr/x 2>/dev/null'
must "/etc and /run are not" guest sh -c 'nsenter --target $(pidof cloud-channel) --mount sh -c "touch /etc/x /run/x && rm /etc/x /run/x"'

must "cloud-init ended well" shows '^status: done' cloud-init status
must "cloud-init waited for nobody: no failed report in its log" lacks 'Failed posting event' cat /var/log/cloud-init.log
must "cloud-init rendered by netplan" guest test -f /etc/netplan/50-cloud-init.yaml

guest timeout 3 cloud-channel subscribe --format json '/cloudinit/**' > "$LAB/events" || [ $? = 124 ]
must "the boot's events waited for the first subscriber" python3 - "$LAB/events" << 'PYTHON'
import json, sys
messages = [json.loads(line) for line in open(sys.argv[1])]
events = [(m["data"][0], m["ext"]["cloudinit"]) for m in messages]
def find(name, kind):
    found = [(e, x) for e, x in events if e["name"] == name and e["event_type"] == kind]
    assert len(found) == 1, (name, kind, len(found), [e["name"] for e, _ in events])
    return found[0]
for stage in ("init-network", "modules-config", "modules-final"):
    begun, ended = find(stage, "start"), find(stage, "finish")
    assert ended[0]["result"] == "SUCCESS", ended
    assert begun[1]["seq"] < ended[1]["seq"]
    # cloud-init sets its reporting up after a stage has begun, so the start is always inferred.
    assert begun[1].get("inferred") is True, begun
find("modules-config/config-set-passwords", "finish")
numbers = [x["seq"] for _, x in events]
assert numbers == sorted(set(numbers)), numbers
PYTHON
