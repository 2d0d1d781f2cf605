# Completes imagematrix in fish, with the names of the project:
#   imagematrix --print-completion-script=fish > ~/.config/fish/completions/imagematrix.fish
function __complete_imagematrix
    set --local words (commandline --current-process --tokenize --cut-at-cursor)
    set --local current (commandline --current-token --cut-at-cursor)
    set --local found ($words[1] --complete -- $words[2..] "$current" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$current"
    end
end
for program in @programs@
    complete --command $program --no-files --arguments '(__complete_imagematrix)'
end
