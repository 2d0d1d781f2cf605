#!/bin/sh
# Prints the run directory of this user: the files that boot.sh makes for this container.
#
#   run.sh         fails where there is none
#   run.sh make    makes it where there is none
#
# Others may have made a directory of the expected name in /tmp, to have us read their files. So a run directory is
# used only when it is a real directory, belongs to this user and is closed to all others; where the name is taken,
# another one is made beside it. Root's is in /run, which others cannot write to.
set -eu

user=$(id -u)
place=/tmp/image-$user
if [ "$user" -eq 0 ]; then place=/run/image; fi

# A volume may set the group of what is made in it: the first digit of 2700.
for directory in "$place" "$place".*; do
    case $(LC_ALL=C stat -c '%F %u %a' "$directory" 2> /dev/null) in
        "directory $user 700" | "directory $user 2700") ;;
        *) continue ;;
    esac
    [ -w "$directory" ] || continue # kept by "docker commit", under a root that cannot be written to
    echo "$directory"
    exit
done

[ "${1-}" = make ] || exit 1
if mkdir -m 700 "$place" 2> /dev/null; then
    echo "$place"
else
    mktemp -d "$place.XXXXXX"
fi
