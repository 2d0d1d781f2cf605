#!/bin/bash
# Healthy when something listens on the port of every service that boot.sh started. Reads the
# kernel's tables: a connection would leave a line in sshd's log each time.
set -euo pipefail

run=$("${0%/*}/run.sh") && [[ -r $run/ports ]] || { echo "boot.sh has not come to the services yet"; exit 1; }

ill=0
while read -r service port; do
    printf -v hex '%04X' "$port"
    grep -qsE "^ *[0-9]+: [0-9A-F]+:$hex [0-9A-F]+:0000 0A " /proc/net/tcp /proc/net/tcp6 || {
        echo "$service does not run: nothing listens on port $port, the container's log says more"
        ill=1
    }
done < "$run/ports"
exit "$ill"
