# What a plugged card costs until it is configured and verified, beside the start of cloud-init's own hotplug hook. Figures
# are printed, and judged by nobody: machines differ.

ticks() { guest sh -c 'cut -d" " -f14-17 /proc/$(systemctl show --property MainPID --value cloud-channel)/stat'; }
total() { local all=0 one; for one in $1; do all=$((all + one)); done; echo "$all"; }

push "five cards that are not there yet" network 'WARN .*waits' << 'JSON'
{"network": {"version": 2, "ethernets": {
 "loop1": {"addresses": ["10.21.0.1/24"]}, "loop2": {"addresses": ["10.22.0.1/24"]}, "loop3": {"addresses": ["10.23.0.1/24"]},
 "loop4": {"addresses": ["10.24.0.1/24"]}, "loop5": {"addresses": ["10.25.0.1/24"]}}}}
JSON
for number in 1 2 3 4 5; do
    before=$(total "$(ticks)") start=$(date +%s%N)
    plug "00:11:22:33:55:0$number" "loop$number"
    PAUSE=0.02 soon "card $number is configured" shows "10.2$number.0.1/24" ip address show dev "loop$number"
    wall=$((($(date +%s%N) - start) / 1000000))
    patiently at_rest
    # The kernel's hundredths of a second.
    echo "      plugged to configured: $wall ms; CPU of the daemon and its commands: $(($(total "$(ticks)") - before))0 ms"
done
guest python3 - << 'PYTHON'
import resource, subprocess, time
start = time.monotonic()
subprocess.run(["cloud-init", "devel", "hotplug-hook", "--subsystem", "net", "query"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
wall, used = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = used.ru_utime + used.ru_stime
print(f"      cloud-init's hotplug hook, before it does anything: {wall * 1000:.0f} ms; CPU {cpu * 1000:.0f} ms, {used.ru_maxrss / 1024:.1f} MB")
PYTHON
push "removed again" network SUCCESS <<< '{"network": {"ethernets": {"loop1": null, "loop2": null, "loop3": null, "loop4": null, "loop5": null}}}'
