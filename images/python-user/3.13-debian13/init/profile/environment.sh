# shellcheck shell=sh
# Shells that boot.sh did not start: the settings the container was started with.
if _run=$(/init/boot/run.sh) && [ -r "$_run/profile.sh" ]; then
    # shellcheck disable=SC1091  # written by boot.sh
    . "$_run/profile.sh"
    # Where the image starts is root's home.
    if [ ! -r . ] || [ ! -x . ]; then cd || :; fi
fi
unset _run
