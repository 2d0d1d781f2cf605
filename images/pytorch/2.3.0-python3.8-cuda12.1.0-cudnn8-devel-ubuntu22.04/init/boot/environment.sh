# shellcheck shell=bash
# The environment of the container, kept for sessions: sshd and "su -" start each of them from nothing.

# What each session has of its own.
session_variables=(HOME LOGNAME MAIL OLDPWD PWD SHLVL SSH_CLIENT SSH_CONNECTION SSH_TTY TERM USER _)

# Writes what this shell exports into FOLDER, twice. `environment` is for shell.sh: all of it, each entry ended by NUL.
# `profile.sh` is for login shells that something else starts: all but the names that no shell can assign to. PATH is
# put back there, because /etc/profile replaces it; any other variable that is set stays as it is.
write_environment() { # FOLDER
    local entry name value quote="'\\''" set_already
    (umask 077 && env "${session_variables[@]/#/--unset=}" --null > "$1/environment" && : > "$1/profile.sh")
    local LC_ALL=C
    while IFS= read -r -d '' entry; do
        name=${entry%%=*} value=${entry#*=}
        [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || continue
        set_already="\${$name+:} "
        [[ $name != PATH ]] || set_already=
        printf "%sexport %s='%s'\n" "$set_already" "$name" "${value//\'/"$quote"}"
    done < "$1/environment" > "$1/profile.sh"
}
