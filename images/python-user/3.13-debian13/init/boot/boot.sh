#!/bin/bash
# Starts a container: the services under supervisord, or the command it was given.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=common/init/boot/lib.sh
source "$here/lib.sh"
# shellcheck source=common/init/boot/environment.sh
source "$here/environment.sh"
# shellcheck source=common/init/boot/user.sh
source "$here/user.sh"

make_run_directory
if [[ -z ${UNDER_TINI:-} ]]; then
    put_secrets_away "$here/settings.sh"
    # It reaps orphans, also where it is not process 1, and passes signals on to all that runs.
    if [[ -x /usr/bin/tini ]]; then UNDER_TINI=yes exec /usr/bin/tini -s -g -- "$0" "$@"; fi
fi
unset UNDER_TINI
check_settings "$here/settings.sh"
set_zone
settle_user
write_environment "$run"
run_hooks

if [[ $# -gt 0 ]]; then
    : > "$run/services"
    exec "$@"
fi

choose_services
for service in "${chosen[@]}"; do
    "prepare_$service"
    cp "/init/services/$service/supervisor.conf" "$run/supervisor.d/$service.conf"
done
prepare_web
# supervisord stops one group after the other, but all members of a group at once.
printf '[group:services]\nprograms = %s\n' "$(IFS=, && echo "${chosen[*]}")" \
    > "$run/supervisor.d/group.conf"

mv "$run/services.new" "$run/services"

log "starting ${chosen[*]}"
options=()
if as_root; then options=(--user root); fi
exec supervisord --nodaemon --configuration /init/supervisor/supervisord.conf "${options[@]}"
