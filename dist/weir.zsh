#compdef weir
# SPDX-License-Identifier: Apache-2.0
# Completion of weir(8) for zsh.

_weir_peers() {
    _arguments '*--to[a server to pass requests to]:URL:' '--listen[where to listen]:address:'
}

local -a _weir_which
_weir_which=(
    '--socket[control socket of the running weir]:file:_files'
    '-c[configuration of the running weir]:file:_files'
    '-p[prefix of relative names]:folder:_files -/'
)

case ${words[2]} in
proxy)
    (( CURRENT-- )); shift words
    _weir_peers
    return
    ;;
demo)
    (( CURRENT-- )); shift words
    _arguments '--listen[where to listen]:address:'
    return
    ;;
status)
    (( CURRENT-- )); shift words
    _arguments '--json[as JSON, for programs]' $_weir_which
    return
    ;;
trace)
    (( CURRENT-- )); shift words
    _arguments '--client[requests of this address, or block of addresses]:address:' \
        '--request[the request of this number]:number:' $_weir_which '1:connection:'
    return
    ;;
esac

_arguments -s \
    '(- *)'{-h,--help}'[show help]' \
    '(- *)'{-v,--version}'[show the version]' \
    '(- *)-V[show version, compiler and built-in paths]' \
    '-t[test the configuration]' \
    '-T[test the configuration and print it]' \
    '-q[print nothing but errors when testing]' \
    '-s[send a signal to a running weir]:signal:(stop quit reload reopen)' \
    '-p[prefix of relative names]:folder:_files -/' \
    '-e[error log]:file:_files' \
    '-c[configuration]:file:_files' \
    '-g[directives besides those of the file]:directives:' \
    '(- *)--directives=-[describe every directive]::form:(tsv)' \
    '1:command:((proxy\:"a proxy without a configuration file" demo\:"weir before servers of its own" status\:"what a running weir does" trace\:"what became of live requests"))'
