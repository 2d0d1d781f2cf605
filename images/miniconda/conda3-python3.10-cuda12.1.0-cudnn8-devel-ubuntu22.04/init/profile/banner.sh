# shellcheck shell=bash
# Login shells: the settings the container was started with, and what it has to offer.
if _run=$(/init/boot/run.sh) && [ -r "$_run/profile.sh" ]; then
    # shellcheck disable=SC1091  # written by boot.sh
    . "$_run/profile.sh"
fi
unset _run
case $- in
    *i*) if [ -t 1 ] && [ -z "${BANNER_SHOWN:-}" ]; then BANNER_SHOWN=1 /init/boot/banner.sh; fi ;;
esac
