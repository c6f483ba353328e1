# The first boot: the daemon as it is shipped, spoken to from both sides.

must "the machine is up, and nothing has failed" shows '^running$' systemctl is-system-running
must "the daemon is ready" guest cloud-channel status --wait 60
must "it runs under its unit's sandbox" shows 'NoNewPrivs:.1' sh -c 'cat /proc/$(pidof cloud-channel)/status'
must "cloud-init rendered by netplan" guest test -f /etc/netplan/50-cloud-init.yaml
must "the first card has its name and a lease" shows '^mgmt0 +UP +10\.0\.2\.' ip -brief address show dev mgmt0
must "management reaches it over the network" remotely status
must "whoever has no token does not" eval '! "$binary" status --endpoint "wss://127.0.0.1:$FORWARDED/events" --ca "$LAB/tls/ca.pem" 2> /dev/null'
