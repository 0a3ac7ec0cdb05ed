# SPDX-License-Identifier: Apache-2.0
# Completion of weir(8) for bash.

_weir()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=

    COMPREPLY=()
    case $prev in
    -s)
        words='stop quit reload reopen'
        ;;
    -c | -e | --socket)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    -p)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    -g | --to | --listen | --client | --request)
        return
        ;;
    *)
        case ${COMP_WORDS[1]} in
        proxy) words='--to --listen' ;;
        demo) words='--listen' ;;
        status) words='--json --socket -c -p -g' ;;
        trace) words='--client --request --socket -c -p -g' ;;
        *)
            words='-h -v -V -t -T -q -s -p -e -c -g --directives --directives=tsv --help --version'
            [ "$COMP_CWORD" -eq 1 ] && words="proxy demo status trace $words"
            ;;
        esac
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _weir weir
