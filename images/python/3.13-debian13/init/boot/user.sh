# shellcheck shell=bash disable=SC2154  # lib.sh makes the run directory
# What programs expect of the user that they run as, where that is not root: a home, a name, and a place for Python's
# packages. Platforms start containers with ids that the image does not know.

settle_user() {
    as_root && return
    give_home
    give_name
    give_python
    # Root's home is where the image starts.
    [[ -r . && -x . ]] || cd "$HOME" || die "$HOME cannot be entered"
}

give_home() {
    [[ ${HOME:-/} != / && -w $HOME ]] && return
    export HOME=$run/home
    mkdir -p "$HOME"
}

# An id without a name gets one from nss_wrapper, for what is started from here: /etc/passwd stays closed, since who can
# write to it can become root (CVE-2019-19346).
give_name() {
    local uid gid
    uid=$(id -u) gid=$(id -g)
    if ! getent passwd "$uid" > /dev/null; then
        { cat /etc/passwd; echo "user:x:$uid:$gid::$HOME:/bin/bash"; } > "$run/passwd"
        cat /etc/group > "$run/group"
        getent group "$gid" > /dev/null || echo "user:x:$gid:" >> "$run/group"
        export NSS_WRAPPER_PASSWD=$run/passwd NSS_WRAPPER_GROUP=$run/group
        export LD_PRELOAD=libnss_wrapper.so${LD_PRELOAD:+:$LD_PRELOAD}
    fi
    USER=$(id -un)
    export USER LOGNAME=$USER
}

# Upon the image's Python, which only root may write to.
give_python() {
    local image=/opt/python place
    [[ -x $image/bin/python && ! -w $image ]] || return 0
    place=$HOME/.local/$(basename "$image"/lib/python3.*)
    "$image/bin/python" -I /init/boot/own_python.py "$place" || die "$place cannot be made"
    [[ ${VIRTUAL_ENV:-} != "$place" ]] || return 0
    export VIRTUAL_ENV=$place PATH=$place/bin:$PATH
    export JUPYTER_PATH=$place/share/jupyter${JUPYTER_PATH:+:$JUPYTER_PATH}
    if [[ ,$(findmnt --noheadings --output OPTIONS --target "$place"), == *,noexec,* ]]; then
        log "commands that you install cannot be run: $place is mounted noexec. Use --tmpfs /tmp:exec, or another HOME"
    fi
}
