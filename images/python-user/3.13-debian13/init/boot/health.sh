#!/bin/bash
# Healthy when each service that boot.sh started does what its users want of it: its own health.sh says so, or it
# answers with a page. Takes 8 seconds at most, and leaves nothing in the log.
set -euo pipefail

seconds=8

run=$("${0%/*}/run.sh") && [[ -r $run/services ]] || { echo "boot.sh has not started the services yet"; exit 1; }

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
    if [[ -x /init/services/$1/health.sh ]]; then
        said=$(IMAGE_RUN=$run timeout "$seconds" "/init/services/$1/health.sh" "$2" 2>&1)
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
