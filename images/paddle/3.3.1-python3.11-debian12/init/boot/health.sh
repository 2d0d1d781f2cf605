#!/bin/bash
# Healthy when each service that boot.sh started does what its users want of it: sshd accepts a login, the others
# answer with a page. Takes 8 seconds at most, and leaves nothing in the log.
set -euo pipefail

seconds=8

run=$("${0%/*}/run.sh") && [[ -r $run/services ]] || { echo "boot.sh has not started the services yet"; exit 1; }

# As root, with a key that sshd accepts from this address of loopback alone. No shell is started: a user's may take long.
accepts_login() { # PORT
    timeout "$seconds" ssh -F none -i "$run/health_key" -p "$1" -s -o BindAddress=127.72.69.65 \
        -o BatchMode=yes -o IdentitiesOnly=yes -o PreferredAuthentications=publickey -o LogLevel=ERROR \
        -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null \
        root@127.0.0.1 sftp < /dev/null
}

# A page that asks who one is has answered. A server may have been given a certificate.
serves_page() { # PORT PATH
    local code
    code=$(status_of "http://127.0.0.1:$1$2") || code=$(status_of "https://127.0.0.1:$1$2") || return 1
    [[ $code =~ ^([23]..|401|403)$ ]] || { echo "$2 has status $code"; return 1; }
}

# Fails for a server that does not answer, prints 000 for one that is too slow.
status_of() { # URL
    local failure=0
    curl --insecure --silent --noproxy '*' --max-time "$seconds" --output /dev/null --write-out '%{http_code}' "$1" ||
        failure=$?
    [[ $failure -eq 0 || $failure -eq 28 ]]
}

check() { # SERVICE PORT [PATH]
    local said
    if [[ $1 == ssh ]]; then
        said=$(accepts_login "$2" 2>&1)
    else
        said=$(serves_page "$2" "$3" 2>&1)
    fi || {
        echo "$1 does not answer on port $2${said:+: ${said##*$'\n'}}"
        return 1
    }
}

ill=0
checks=()
while read -r -a service; do
    check "${service[@]}" &
    checks+=($!)
done < "$run/services"
for each in "${checks[@]}"; do wait "$each" || ill=1; done
exit "$ill"
