# shellcheck shell=bash
# The environment of the container, kept for sessions: sshd and "su -" start each of them from nothing.

# What each session has of its own; what is root's own is root's alone, of any other user boot.sh decides it.
session_variables=(MAIL OLDPWD PWD SHLVL SSH_CLIENT SSH_CONNECTION SSH_TTY TERM _)
if as_root; then session_variables+=(HOME LOGNAME USER); fi

# Writes what this shell exports into FOLDER, twice. `environment` is for shell.sh: all of it, each entry ended by NUL.
# `profile.sh` is for shells that something else starts: all but the names that no shell can assign to. A variable that
# is set there stays as it is, but for those that others set for everyone: /etc/profile, and `docker exec`.
write_environment() { # FOLDER
    local entry name value quote="'\\''" set_already
    (umask 077 && env "${session_variables[@]/#/--unset=}" --null > "$1/environment" && : > "$1/profile.sh")
    local LC_ALL=C
    while IFS= read -r -d '' entry; do
        name=${entry%%=*} value=${entry#*=}
        [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || continue
        case $name in
            HOME | PATH | VIRTUAL_ENV) set_already= ;;
            *) set_already="\${$name+:} " ;;
        esac
        printf "%sexport %s='%s'\n" "$set_already" "$name" "${value//\'/"$quote"}"
    done < "$1/environment" > "$1/profile.sh"
}
