# fish completion of pbs-filter and pbs-lookup: all of it is read from --help.

function __pbs_words
    set -l words (commandline -opc)
    if string match -q '*lookup' -- $words[1]
        if test (count $words) = 1
            $words[1] --help | string match -rg '^  ([a-z]+) '
        else
            $words[1] $words[2] --help | string match -ra -- '--[a-z][a-z0-9-]*'
        end
    else if contains -- $words[-1] {--,}{list,forget,history}
        $words[1] --list --plain 2>/dev/null
    else
        if test (count $words) = 1
            $words[1] --help | sed -n '/^modes:/,/^$/s/^  --\([a-z]*\).*/\1/p'
        end
        $words[1] --help | string match -ra -- '--[a-z][a-z0-9-]*'
    end
end

complete -c pbs-filter -a '(__pbs_words)'
complete -c pbs-lookup -a '(__pbs_words)'
