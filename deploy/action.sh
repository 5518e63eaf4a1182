#!/usr/bin/env bash
# What the steps of action.yml do, one word each: program, add, join, check, plan, comment, publish.
# All that they are told comes by the environment. They also run by hand, without GitHub: scripts/check-deploy does that.
# shellcheck disable=SC2153  # what comes by the environment is in capitals
set -euo pipefail

output() { printf '%s=%s\n' "$1" "$2" >>"${GITHUB_OUTPUT:-/dev/stdout}"; }

# What is shown beside the job.
note() { printf '::%s::%s\n' "$1" "$2" >&2; }

fail() {
    note error "$1"
    exit "${2:-1}"
}

# The lines of a text that are not empty.
lines() { printf '%s\n' "$1" | sed -e 's/\r$//' -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' -e '/^$/d'; }

# matches PATTERN: the files and folders that a pattern stands for. Nothing of it is carried out.
matches() { compgen -G "$1" || fail "there is no \`$1\`"; }

program() {
    if [ -z "$BINARY" ]; then
        local root="${RUNNER_TEMP:-/tmp}/agent-releases"
        cargo install --quiet --locked --path "$GITHUB_ACTION_PATH" --bin agent-releases --root "$root"
        BINARY="$root/bin/agent-releases"
    fi
    # An upload between two jobs does not keep its mode.
    [ ! -f "$BINARY" ] || [ -x "$BINARY" ] || chmod +x "$BINARY"
    BINARY=$(command -v -- "$BINARY") || fail "there is no program \`$BINARY\`"
    "$BINARY" --version
    output binary "$(realpath "$BINARY")"
}

add() {
    local line found named=() options=()
    while IFS= read -r line; do
        case $line in
            *=*) found=${line%%=*}=$FOLDER/${line#*=} ;;
            *) found=$(matches "$FOLDER/$line") ;;
        esac
        mapfile -t -O "${#named[@]}" named <<<"$found"
    done < <(lines "$FILES")
    [ "${#named[@]}" -gt 0 ] || fail "no files were named for $VERSION"
    local words word
    read -ra words <<<"${CHANNELS//$'\n'/ }"
    for word in "${words[@]}"; do options+=("--channel=$word"); done
    [ -z "$NOTES_URL" ] || options+=("--notes-url=$NOTES_URL")
    [ -z "$INTO" ] || options+=("--into=$INTO")
    "$BINARY" add "--releases=$RELEASES" "--artifacts=$ARTIFACTS" "${options[@]}" -- "$VERSION" "${named[@]}"
}

join() {
    local line found folders=()
    while IFS= read -r line; do
        found=$(matches "$line")
        mapfile -t -O "${#folders[@]}" folders <<<"$found"
    done < <(lines "$FRAGMENTS")
    "$BINARY" add "--releases=$RELEASES" "--artifacts=$ARTIFACTS" --join "${folders[@]}"
}

check() { "$BINARY" check "--releases=$RELEASES" "--artifacts=$ARTIFACTS" "--out=$OUT"; }

plan() {
    local file options=() exit=0
    file="${RUNNER_TEMP:-/tmp}/agent-releases-plan.md"
    [ -z "$FAIL_ON" ] || options+=("--fail-on=$FAIL_ON")
    "$BINARY" plan "--releases=$RELEASES" "--artifacts=$ARTIFACTS" "--out=$OUT" "--against=$AGAINST" \
        --format=markdown "${options[@]}" >"$file" || exit=$?
    # 6: there are changes, or those that must not be. Anything else is no plan, but a reason why there is none.
    [ "$exit" = 0 ] || [ "$exit" = 6 ] || fail "no plan: exit code $exit" "$exit"
    case $(head -n 1 "$file") in
        '**0 of '*) output changed false ;;
        *) output changed true ;;
    esac
    output file "$file"
    cat "$file"
    [ -z "${GITHUB_STEP_SUMMARY:-}" ] || cat "$file" >>"$GITHUB_STEP_SUMMARY"
    [ "$exit" = 0 ] || [ -z "$FAIL_ON" ] || fail "the plan moves \`$FAIL_ON\`" "$exit"
}

# api METHOD PATH [FILE]: asks GitHub. The token is on no command line, where other processes could read it.
api() {
    curl --silent --show-error --fail-with-body --max-time 30 --retry 3 --request "$1" ${3:+--data-binary "@$3"} \
        --header 'Accept: application/vnd.github+json' --header 'X-GitHub-Api-Version: 2022-11-28' \
        --config <(printf 'header = "Authorization: Bearer %s"\n' "$TOKEN") "${GITHUB_API_URL:-https://api.github.com}$2"
}

comment() {
    local marker page found id='' folder
    folder=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder is known now
    trap "rm -rf '$folder'" EXIT
    marker="<!-- agent-releases: plan against $(printf %s "$AGAINST" | tr -cd '[:alnum:]:/._-') -->"
    printf '%s\n' "$marker" >"$folder/text"
    # A comment may have 65,536 characters; a plan that is longer is cut between two lines.
    if [ "$(wc -c <"$PLAN")" -le 60000 ]; then
        cat "$PLAN" >>"$folder/text"
    else
        head -c 60000 "$PLAN" | sed '$d' >>"$folder/text"
        printf '\nThe rest is in the summary of the job.\n' >>"$folder/text"
    fi
    jq --raw-input --slurp '{body: .}' "$folder/text" >"$folder/body"
    for page in {1..20}; do
        api GET "/repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments?per_page=100&page=$page" >"$folder/page" || break
        found=$(jq --raw-output --arg marker "$marker" --arg author "$AUTHOR" \
            'map(select(.user.login == $author and (.body | startswith($marker)))) | first | .id // empty' "$folder/page")
        [ -z "$found" ] || id=$found
        [ -z "$id" ] && [ "$(jq length "$folder/page")" = 100 ] || break
    done
    if [ -n "$id" ]; then
        set -- PATCH "/repos/$GITHUB_REPOSITORY/issues/comments/$id"
    else
        set -- POST "/repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments"
    fi
    # A pull request from a fork has a token that may only read; its plan is in the summary all the same.
    api "$1" "$2" "$folder/body" >"$folder/answer" || note warning "the plan could not be shown as a comment; see the summary"
}

publish() {
    local options=() exit=0
    [ -n "$TARGET" ] || fail "no target was named"
    [ -z "$REASON" ] || options+=("--reason=$REASON")
    [ -z "$BY" ] || options+=("--by=$BY")
    [ -z "$PURGE" ] || options+=("--purge=$PURGE")
    "$BINARY" publish "--releases=$RELEASES" "--artifacts=$ARTIFACTS" "--out=$OUT" "${options[@]}" -- "$TARGET" || exit=$?
    case $exit in
        0) output purge-pending false ;;
        3) fail "refused: this would change something that is published" 3 ;;
        4) fail "somebody else published first; run this again, and look at the new plan" 4 ;;
        5)
            output purge-pending true
            note warning "published, but the CDN was not told; it serves the old documents for up to a minute more"
            ;;
        *) fail "not published: exit code $exit" "$exit" ;;
    esac
}

case ${1:-} in
    program | add | join | check | plan | comment | publish) "$1" ;;
    *) fail "usage: $0 program|add|join|check|plan|comment|publish" 2 ;;
esac
