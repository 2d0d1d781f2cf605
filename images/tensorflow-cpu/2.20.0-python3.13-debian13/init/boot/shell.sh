#!/bin/bash
# The login shell of root, which sshd and su start: it takes over the environment of the container and becomes $SHELL.
#
# What the session was given (TERM, DISPLAY, SSH_AUTH_SOCK, ...) counts before what the container has, but for what a
# distribution sets for everyone: PATH, the language and the time zone. Without a run directory it is just a shell.
shell=/bin/bash
container=()
session=()

if run=$("${0%/*}/run.sh") && [[ -r $run/environment ]]; then
    mapfile -d '' -t container < "$run/environment"
fi

for entry in "${container[@]}"; do
    if [[ $entry == SHELL=/* && -x ${entry#*=} && ! ${entry#*=} -ef $0 ]]; then shell=${entry#*=}; fi
done

while IFS= read -r -d '' entry; do
    case ${entry%%=*} in
        PATH | LANG | LANGUAGE | LC_* | TZ) [[ ${#container[@]} -eq 0 ]] || continue ;;
        SHELL | SHLVL | _) continue ;;
    esac
    session+=("$entry")
done < <(env --null)

# The cookie of a forwarded display is in the session's own file.
if [[ -n ${DISPLAY:-} && -z ${XAUTHORITY:-} ]]; then
    for number in "${!container[@]}"; do
        if [[ ${container[number]} == XAUTHORITY=* ]]; then unset "container[number]"; fi
    done
fi

[[ $# -gt 0 ]] || set -- -l
exec env -- "${container[@]}" "${session[@]}" "SHELL=$shell" "$shell" "$@"
