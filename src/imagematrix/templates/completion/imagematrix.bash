# shellcheck shell=bash
# Completes imagematrix in bash, with the names of the project:
#   imagematrix --print-completion-script=bash > ~/.local/share/bash-completion/completions/imagematrix
_imagematrix() {
    local line=${COMP_LINE:0:COMP_POINT} words current
    read -ra words <<<"$line"
    case $line in *[[:space:]]) words+=("") ;; esac
    current=${words[-1]}
    mapfile -t COMPREPLY < <("${words[0]/#\~/$HOME}" --complete -- "${words[@]:1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    # bash takes what follows a colon or an equals sign for a word of its own.
    COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*[:=]}"}"}")
}
complete -o default -F _imagematrix @programs@
