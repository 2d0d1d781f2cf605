#compdef @programs@
# Completes imagematrix in zsh, with the names of the project. Into a folder of $fpath, before compinit runs:
#   imagematrix --print-completion-script=zsh > ~/.zfunc/_imagematrix
_imagematrix() {
    local -a found
    found=(${(f)"$(${~words[1]} --complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then
        compadd -Q -- $found
    else
        _files
    fi
}
compdef _imagematrix @programs@
