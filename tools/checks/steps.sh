# steps.sh: runs the steps of tools/check, reads their counts and prints a line for each.
#
# Sourced by tools/check, which holds the list of the steps. Uses its variables `only` (a pattern)
# and `list` (not empty: print names, run nothing).
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154

logs=build/logs
passed_all=0
failed_all=0
skipped_all=0
declare -A step_failed

# A step has a process group of its own (timeout makes it), which a Ctrl-C does not reach.
running=
trap '[ -z "$running" ] || kill "$running" 2>/dev/null; exit 130' INT TERM

# What a sanitizer prints when it has found something. Criterion passes a test whose process leaks or
# races as long as its asserts hold, so the log is searched too.
sanitizer_report='ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:'

# step NAME SECONDS [needs STEP] COMMAND...
step() {
    local name=$1 seconds=$2 need='' log=$logs/$1.log started=$EPOCHREALTIME code=0
    shift 2
    if [ "$1" = needs ]; then
        need=$2
        shift 2
    fi
    # shellcheck disable=SC2053 # a pattern is meant
    [[ $name == $only ]] || return 0
    if [ -n "$list" ]; then
        echo "$name"
        return 0
    fi

    mkdir -p $logs
    if [ -n "$need" ] && [ -n "${step_failed[$need]-}" ]; then
        echo "not run: $need failed" >"$log"
        code=1
    elif [ ! -x "$1" ]; then
        echo "not run: there is no $1" >"$log"
        code=1
    else
        timeout --kill-after=20 "$seconds" "$@" </dev/null >"$log" 2>&1 &
        running=$!
        wait $running
        code=$?
        [ $code -lt 124 ] || echo "ended with code $code (124: over its $seconds seconds)" >>"$log"
    fi
    report "$name" "$code" "$(seconds_since "$started")" "$log"
}

seconds_since() {
    awk -v then="$1" -v now="$EPOCHREALTIME" 'BEGIN { printf "%.1f", now - then }'
}

# counts_of LOG CODE: prints "passed failed skipped" as the log tells them.
counts_of() {
    awk -v code="$2" -v report="$sanitizer_report" '
        $0 ~ report { reports++ }
        /^\[SKIP\]/ { skipped++ }
        /^\[====\] Synthesis: / {
            criterion = 1
            passed += $7
            failed += $10
            if ($4 == 0) failed++ # a program that ran no test tells nothing
        }
        /^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ {
            own = 1
            own_passed = $1
            own_failed = $3
            own_skipped = $5
        }
        END {
            if (own) {
                passed += own_passed
                failed += own_failed
                skipped += own_skipped
            }
            counted = own || criterion
            if (!counted && code == 0) passed = 1
            if (!counted && code == 77) skipped = 1
            if (code != 0 && code != 77 && !failed) failed = 1
            if (reports && !failed) failed = 1
            printf "%d %d %d\n", passed, failed, skipped
        }' "$1"
}

# report NAME CODE SECONDS LOG: the line on the screen, and the sums.
report() {
    local name=$1 seconds=$3 log=$4 passed failed skipped verdict=ok
    read -r passed failed skipped <<<"$(counts_of "$log" "$2")"
    passed_all=$((passed_all + passed))
    failed_all=$((failed_all + failed))
    skipped_all=$((skipped_all + skipped))

    if [ "$failed" != 0 ]; then
        verdict=FAILED
        step_failed[$name]=yes
    elif [ "$passed" = 0 ]; then
        verdict=skipped
    fi
    printf '%-7s %7s s  %-24s %d passed, %d failed, %d skipped\n' \
        "$verdict" "$seconds" "$name" "$passed" "$failed" "$skipped"
    if [ $verdict = FAILED ]; then
        grep -nE "$sanitizer_report|^\[FAIL\]|^\[----\] .*: (Assertion|Unexpected)|^FAILED" "$log" |
            head -n 20 | sed 's/^/        | /'
        tail -n 25 "$log" | cut -c 1-300 | sed 's/^/        | /'
        echo "        | whole log: $log"
    fi
    if [ "$skipped" != 0 ]; then
        # Skips are said out loud, with their reasons.
        { grep -iE '^\[SKIP\]|^skipped:' "$log" || tail -n 1 "$log"; } | sed 's/^/        | /'
    fi
}

# The last line, alone; and the exit code.
sum_up() {
    echo
    echo "$passed_all passed, $failed_all failed, $skipped_all skipped"
    [ "$failed_all" = 0 ]
}
