#!/bin/bash
# The login shell of root, which sshd and su start: it takes over the environment of the container and becomes $SHELL.
# "docker exec CONTAINER /init/boot/shell.sh -c COMMAND" gives it to a command, of any user.
#
# What the session was given (TERM, DISPLAY, SSH_AUTH_SOCK, ...) counts before what the container has, but for what others
# set for everyone. Without a run directory it is just a shell.
shell=/bin/bash
container=()
session=()
decided=' '

if run=$("${0%/*}/run.sh") && [[ -r $run/environment ]]; then
    mapfile -d '' -t container < "$run/environment"
fi

for entry in "${container[@]}"; do
    case ${entry%%=*} in
        HOME | LANG | LANGUAGE | LC_* | PATH | TZ | VIRTUAL_ENV) decided+="${entry%%=*} " ;;
    esac
    if [[ $entry == SHELL=/* && -x ${entry#*=} && ! ${entry#*=} -ef $0 ]]; then shell=${entry#*=}; fi
done

while IFS= read -r -d '' entry; do
    name=${entry%%=*}
    case $name in SHELL | SHLVL | _) continue ;; esac
    [[ $decided != *" $name "* ]] || continue
    session+=("$entry")
done < <(env --null)

# The cookie of a forwarded display is in the session's own file.
if [[ -n ${DISPLAY:-} && -z ${XAUTHORITY:-} ]]; then
    for number in "${!container[@]}"; do
        if [[ ${container[number]} == XAUTHORITY=* ]]; then unset "container[number]"; fi
    done
fi

# Where the image starts is root's home.
if [[ ! -r . || ! -x . ]]; then
    for entry in "${container[@]}"; do if [[ $entry == HOME=* ]]; then cd "${entry#*=}" || :; fi; done
fi

[[ $# -gt 0 ]] || set -- -l
exec env -- "${container[@]}" "${session[@]}" "SHELL=$shell" "$shell" "$@"
