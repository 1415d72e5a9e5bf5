# Completion of sync-job for bash. It reads what `sync-job --help` and `sync-job COMMAND --help` say, so that it never lags behind.
_sync_job() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' commands candidate
    commands=$(sync-job --help 2>/dev/null | sed -n '/^Subcommands:/,$s/^  \([a-z][a-z-]*\) .*/\1/p')
    for candidate in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $'\n'$commands$'\n' != *$'\n'$candidate$'\n'* ]] || { command=$candidate && break; }
    done
    case $previous in
        --output | -o | --definition) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
        --status | -s) mapfile -t COMPREPLY < <(compgen -W 'pending queued started finished skipped relayed failed canceled' -- "$word") && return ;;
        --fail-on) mapfile -t COMPREPLY < <(compgen -W 'error warning never' -- "$word") && return ;;
        --conflicts) mapfile -t COMPREPLY < <(compgen -W 'fail skip' -- "$word") && return ;;
        --language | -l) mapfile -t COMPREPLY < <(compgen -W 'plpgsql sql plpython3u' -- "$word") && return ;;
        --operation) mapfile -t COMPREPLY < <(compgen -W 'insert update delete' -- "$word") && return ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$({ sync-job --help && [[ ! $command ]] || sync-job "$command" --help; } 2>/dev/null |
            grep -oE '^  (-., ?)?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u)" -- "$word")
    elif [[ ! $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
    fi
}
complete -F _sync_job sync-job
