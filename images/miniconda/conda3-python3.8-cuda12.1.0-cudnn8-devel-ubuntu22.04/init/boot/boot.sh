#!/bin/bash
# Starts a container: the services under supervisord, or the command it was given.
set -euo pipefail

# A platform may start this script itself; something must still reap orphans.
if [[ $$ -eq 1 && -x /usr/bin/tini ]]; then
    exec /usr/bin/tini -g -- "$0" "$@"
fi

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=common/init/boot/lib.sh
source "$here/lib.sh"

make_run_directory
check_settings "$here/settings.sh"
set_credentials
set_zone
write_environment
run_hooks

if [[ $# -gt 0 ]]; then
    : > "$run/ports"
    exec "$@"
fi

choose_services
for service in "${chosen[@]}"; do
    "prepare_$service"
    cp "/init/supervisor/$service.conf" "$run/supervisor.d/"
done
prepare_web
# supervisord stops one group after the other, but all members of a group at once.
printf '[group:services]\nprograms = %s\n' "$(IFS=, && echo "${chosen[*]}")" \
    > "$run/supervisor.d/group.conf"

mv "$run/ports.new" "$run/ports"

log "starting ${chosen[*]}"
options=()
if as_root; then options=(--user root); fi
exec supervisord --nodaemon --configuration /init/supervisor/supervisord.conf "${options[@]}"
