#!/usr/bin/env bash
# Orders updates of tallyman as the job that this runs in, waits for them, and writes the result into the job's log, summary and
# outputs. Exit status 0: every update is committed, or the branch has its tag already, or its pull request is open and WAIT does not
# ask for more (WAIT=false: all are accepted; WAIT=healthy: all run).
# APP and ENVIRONMENT are names, or several with commas or line breaks between them: every app is ordered in every environment.
#
# The job's token orders once and is accepted for some minutes, so a long wait asks GitHub for more of them. Every request may be
# repeated: within a step it is the same order, and each step is an order of its own.
{ set +x; } 2> /dev/null # a shell that prints its commands would print the token
set -euo pipefail

for tool in curl jq; do
  command -v "$tool" > /dev/null || {
    printf '::error title=tallyman::the runner has no %s, which this action calls: install it there\n' "$tool"
    exit 1
  }
done

# Seconds: the age at which a token is replaced, the longest pause between two requests, and the longest request.
readonly token_age=240 longest_pause=10 request_time=20
# Bytes: the longest answer that is read, and the longest text of one that is shown.
readonly longest_answer=16777216 longest_text=2000

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
readonly work

token='' token_at=0             # the job's token, and when it was given
status=''                       # of the last answer; 000 when there was none
count=0                         # of the updates
update='' state='' rollout='' commit='' pull='' reason='' rule='' # of the first that ended short of what is wanted, or has not come so far, or else of the first
open='' ended=''                # ids of those that are waited for, and of those that ended without coming as far as is wanted
declare -A said=()              # what the log says of each
past_proxy=()                   # options of requests to this machine

main() {
  check_inputs
  new_token
  order
  [ "$WAIT" != false ] || finish 0
  await
}

check_inputs() {
  local name
  for name in TALLYMAN_URL APP ENVIRONMENT TAG; do
    [[ "${!name:-}" =~ [^,[:space:]] ]] || fail "the input $(input_of "$name") is empty"
  done
  TALLYMAN_URL=${TALLYMAN_URL%/}
  local rest='(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$'
  if [[ "$TALLYMAN_URL" =~ ^http://(127\.0\.0\.1|localhost)$rest ]]; then
    past_proxy=(--noproxy '*')
  elif ! [[ "$TALLYMAN_URL" =~ ^https://([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])$rest ]]; then
    fail 'the input url must begin with https:// and be a host, perhaps with a port and a path: the token goes there'
  fi
  [ -n "${AUDIENCE:-}" ] || AUDIENCE=$TALLYMAN_URL
  [[ "${WAIT:=proposed}" =~ ^(proposed|committed|healthy|false)$ ]] || fail 'the input wait must be proposed, committed, healthy or false'
  [[ "${TIMEOUT:=10m}" =~ ^([1-9][0-9]{0,5})([smh])$ ]] || fail 'the input timeout must be a number and s, m or h, such as 10m'
  wanted='a commit'
  [ "$WAIT" != healthy ] || wanted='being known to run'
  case "${BASH_REMATCH[2]}" in
    s) deadline=${BASH_REMATCH[1]} ;;
    m) deadline=$((BASH_REMATCH[1] * 60)) ;;
    h) deadline=$((BASH_REMATCH[1] * 3600)) ;;
  esac
  [[ "${MANIFESTS:=}" =~ ^([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+)?$ ]] || fail 'the input manifests must be OWNER/NAME'
  [[ -n "${ACTIONS_ID_TOKEN_REQUEST_URL:-}" && -n "${ACTIONS_ID_TOKEN_REQUEST_TOKEN:-}" ]] ||
    fail 'GitHub gives this job no token: the job needs "permissions: {id-token: write}", also where it calls a workflow'
}

input_of() { case "$1" in TALLYMAN_URL) echo url ;; *) echo "${1,,}" ;; esac; }

# new_token asks GitHub for a token of this job.
new_token() {
  local answer
  # A credential goes in through standard input: a command line can be read by others.
  answer=$(curl --silent --show-error --fail --retry 3 --retry-connrefused --max-time "$request_time" \
    --get --data-urlencode "audience=$AUDIENCE" --header @- "$ACTIONS_ID_TOKEN_REQUEST_URL" \
    <<< "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN") || fail "GitHub gave this job no token for $AUDIENCE"
  token=$(jq -er .value <<< "$answer" 2> /dev/null) || fail "GitHub's answer to the request for a token has none"
  token_at=$SECONDS
  echo "::add-mask::$token"
}

# request sends one request to tallyman. It leaves the answer in status, $work/header and $work/body, and in $work/error why
# there is none. A redirect is not followed.
request() {
  : > "$work/header"
  : > "$work/body"
  status=$(curl --silent --show-error --globoff "${past_proxy[@]}" --max-time "$request_time" --max-filesize "$longest_answer" \
    --output "$work/body" --dump-header "$work/header" --write-out '%{http_code}' --header @- "${@:2}" "$TALLYMAN_URL$1" \
    <<< "Authorization: Bearer $token" 2> "$work/error") || status=000
}

# answered sends a request until there is an answer that another try would not change, or the time is over. An expired token is
# replaced once. What tallyman refuses ends the job.
answered() {
  local pause=1 refreshed=
  while true; do
    [ $((SECONDS - token_at)) -lt "$token_age" ] || new_token
    request "$@"
    case "$status" in
      200 | 202) return ;;
      000) reason="$TALLYMAN_URL cannot be reached: $(tail -n 1 "$work/error")" ;;
      401)
        [ -z "$refreshed" ] || fail "tallyman does not accept this job's token: $(detail)"
        refreshed=true
        new_token
        continue
        ;;
      408 | 429 | 5??) reason="tallyman answers $status: $(detail)" ;;
      *) fail "tallyman refuses it ($status): $(detail)" ;;
    esac
    say "$reason; trying again"
    pause_for "$(retry_after "$pause")"
    pause=$((pause * 2))
  done
}

# detail is the answer's sentence.
detail() {
  jq -er --argjson longest "$longest_text" '.detail // error | tostring | .[:$longest]' "$work/body" 2> /dev/null || echo 'the answer is not of tallyman: is its API configured, and is this its address?'
}

# retry_after is how many seconds the answer asks to wait, or as many as are given.
retry_after() {
  local seconds
  seconds=$(sed -n 's/^retry-after: *\([0-9]\{1,4\}\)\r*$/\1/Ip' "$work/header" 2> /dev/null | tail -n 1)
  echo "${seconds:-$1}"
}

# pause_for waits some seconds, and at most until the time is over, when it ends the job. One look is made at the very end.
pause_for() {
  local left=$((deadline - SECONDS)) seconds=$1
  [ "$left" -gt 0 ] || time_is_over
  [ "$seconds" -le "$longest_pause" ] || seconds=$longest_pause
  [ "$seconds" -le "$left" ] || seconds=$left
  sleep "$seconds"
}

time_is_over() {
  [ "$count" -gt 0 ] || fail "no order was accepted within $TIMEOUT: $reason"
  [ "$count" -gt 1 ] || fail "still ${state:-pending} after $TIMEOUT${reason:+: $reason}. tallyman goes on with it: tallyman explain $update"
  fail "still pending after $TIMEOUT: $(wc -w <<< "$open") of $count updates, and $(wc -w <<< "$ended") ended without $wanted${reason:+. The first: $reason}. tallyman goes on: tallyman explain $update"
}

order() {
  local key
  jq -cn "$definitions"'{app: env.APP | names, environment: env.ENVIRONMENT | names, tag: env.TAG} + ({digest: env.DIGEST, revision: env.REVISION} | with_entries(select((.value // "") != "")))' > "$work/order"
  # Nobody can guess the key, so no other job of the repository can use it first.
  key=github-$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  say "ordering $APP in $ENVIRONMENT to $TAG"
  answered /api/v1/updates --header 'Content-Type: application/json' --header "Idempotency-Key: $key" --data-binary "@$work/order"
  read_answer '[.updates[]? | update]'
  pick
  [ "$count" -gt 0 ] || fail "tallyman accepted no update: $(jq -r "$definitions"'.reason | plain' "$work/body")"
  output update "$(jq -r 'map(.id) | join(",")' "$work/updates")"
  if [ "$count" = 1 ]; then say "update $update is accepted"; else say "$count updates are accepted"; fi
}

# await looks at the updates until all have come so far as is wanted. A round looks at so many that it is short.
await() {
  local pause=1 id ids
  while tell && [ -n "$open" ]; do
    pause_for "$pause"
    [ "$pause" -ge 5 ] || pause=$((pause + 1))
    read -ra ids <<< "$open"
    for id in "${ids[@]:0:20}"; do
      answered "/api/v1/updates/$id"
      # shellcheck disable=SC2016 # the variables are of jq
      read_answer --arg id "$id" --slurpfile now "$work/body" 'map(if .id == $id then ($now[0] | update) + {id, environment, app} else . end)' "$work/updates"
    done
    pick
  done
  [ -n "$ended" ] || finish 0
  [ "$count" -gt 1 ] || fail "$(short): $state${reason:+: $reason}"
  fail "$(short): $(wc -w <<< "$ended") of $count updates. The first: $(place) $state${reason:+: $reason}"
}

# short says how the update fell short.
short() {
  case "$state" in
    committed | unchanged) echo 'not known to run' ;;
    *) echo 'not committed' ;;
  esac
}

# place names the update that reason and state are of.
place() { jq -r --arg id "$update" '.[] | select(.id == $id) | "\(.app) in \(.environment):"' "$work/updates"; }

# tell writes what is new of each update into the log.
tell() {
  local id line
  while IFS=$'\t' read -r id line; do
    if [ -n "$id" ] && [ "${said[$id]:-}" != "$line" ]; then
      said[$id]=$line
      say "$line"
    fi
  done < <(jq -r --argjson open "$(words "$open")" 'length as $n | .[] | select($n > 1 or (.id | IN($open[]))) |
    .id + "\t" + (if $n > 1 then "\(.app) in \(.environment): " else "" end) + .state + (if .reason == "" then "" else ": \(.reason)" end)' "$work/updates")
}

# words are a text's words as a list of JSON.
words() { jq -cRn '[inputs | splits(" +") | select(. != "")]' <<< "$1"; }

# definitions are of jq. Of what an answer says each value is one line, so that none can add an output, and an id is one that
# can stand in an address.
readonly definitions='
  def plain: . // "" | tostring | gsub("[[:cntrl:]]"; " ") | .[:'"$longest_text"'];
  def names: [splits("[,\n]") | gsub("^\\s+|\\s+$"; "") | select(. != "")] | if length == 1 then .[0] else . end;
  def waits: [.blockedBy[]?.reason] + (if .state == "proposed" then [.proposal | objects | .waitsFor[]?] else [] end) | unique | join("; ");
  def cluster: if env.WAIT != "healthy" or (.state | IN("committed", "unchanged") | not) then empty
    elif (.rollout | type) == "object" then "in the cluster: " + ([.rollout | (.state, .reason) | plain | select(. != "")] | join(": "))
    elif (.followedBy // "") == "" then "nothing says whether it runs, for its updates are not followed to the cluster"
    else "it is not known yet whether it runs" end;
  def why: [(.reason // waits | plain), cluster] | map(select(. != "")) | join("; ");
  def update: {id, environment, app, state, commit, rule, reason: why, rollout: ((.rollout | objects | .state) // ""), followedBy, pullRequest: ((.proposal | objects | .url) // "")} | map_values(plain) |
    .pullRequest |= (if test("\\Ahttps?://[^ \"<>]{1,500}\\z") then . else "" end) | if .id | test("\\A[A-Za-z0-9-]{1,64}\\z") then . else error end;
'

# read_answer makes the list of updates from the answer by a program of jq, or from what else it is given.
read_answer() {
  [ -s "$work/body" ] || fail "tallyman's answer is empty: is $TALLYMAN_URL its address?"
  if [ "$#" = 1 ]; then set -- "$1" "$work/body"; fi
  local program=${*: -2:1} file=${*: -1}
  jq -ce "${@:1:$#-2}" "$definitions $program" "$file" > "$work/next" 2> /dev/null ||
    fail "tallyman's answer cannot be read: is $TALLYMAN_URL its address?"
  mv "$work/next" "$work/updates"
}

# pick takes from the list what the other functions ask for.
pick() {
  {
    read -r count
    read -r open
    read -r ended
    read -r update
    read -r state
    read -r rollout
    read -r commit
    read -r pull
    read -r rule
    read -r reason
  } < <(jq -r 'def written: .state | IN("committed", "unchanged"); def over: .rollout | IN("healthy", "degraded", "sync_failed", "timed_out", "superseded", "unmapped", "gone");
    def done: written and (env.WAIT != "healthy" or .rollout == "healthy");
    def rolling: written and env.WAIT == "healthy" and .followedBy != "" and (over | not);
    def waits: (.state | IN("pending", "proposed")) or rolling;
    def wanted: .state == "pending" or .state == "proposed" and env.WAIT != "proposed" or rolling; def fails: (waits or done) | not;
    (map(select(fails)) + map(select(done | not)) + .)[0] as $first |
    length, (map(select(wanted) | .id) | join(" ")), (map(select(fails) | .id) | join(" ")),
    ($first | .id, .state, .rollout, .commit, .pullRequest, .rule, .reason) // ""' "$work/updates") || true
}

# say writes a line into the log.
say() { printf 'tallyman: %s\n' "$(plain "$1")"; }

# plain is a text as it may stand in the log. A line that begins with :: and ##[ anywhere in one are commands to the runner.
plain() {
  local text=${1:0:longest_text}
  text=${text//[[:cntrl:]]/ }
  printf %s "${text//'##['/'# #['}"
}

output() { printf '%s=%s\n' "$1" "$2" >> "$GITHUB_OUTPUT"; }

# fail ends the job with the reason.
fail() {
  local line
  line=$(plain "$1")
  reason=$line
  printf '::error title=tallyman::%s\n' "${line//%/%25}"
  finish 1
}

# show_commit asks for the commit of the update, for the summary. What does not come is left out: the update has ended.
show_commit() {
  request "/api/v1/updates/$update/commit"
  if [ "$status" != 200 ]; then : > "$work/body"; fi
}

# finish writes the outputs and the summary, and ends the job.
finish() {
  [ -s "$work/updates" ] || echo '[]' > "$work/updates"
  if [ "$count" -gt 1 ]; then
    [ "$1" != 0 ] || say "$(jq -r "$summarizing"'"\(length) updates: \(states)"' "$work/updates")"
  else
    [ "$1" != 0 ] || say "${state}${commit:+ $commit}${pull:+ $pull}${reason:+: $reason}"
  fi
  output state "$state"
  output rollout "$rollout"
  output commit "$(jq -r 'map(.commit | select(. != "")) | unique | join(",")' "$work/updates")"
  output pull-request "$(jq -r 'map(.pullRequest | select(. != "")) | unique | join(",")' "$work/updates")"
  output updates "$(jq -c 'map(del(.rule, .followedBy) | .reason |= .[:300])' "$work/updates")"
  if [ -n "$commit" ] && [ "$count" = 1 ]; then show_commit; else : > "$work/body"; fi
  if [ "$count" -gt 1 ]; then summarize_list; else summarize; fi >> "$GITHUB_STEP_SUMMARY"
  exit "$1"
}

# summarizing are definitions of jq for the summary, which is HTML.
readonly summarizing='
  def line: . // "" | tostring | gsub("[[:cntrl:]]"; " ");
  def html: line | @html "\(.)";
  def code: if (. // "") == "" then "" else "<code>\(html)</code>" end;
  def commit: if . != "" and (env.MANIFESTS // "") != "" then
    "<a href=\"\("\(env.GITHUB_SERVER_URL // "https://github.com")/\(env.MANIFESTS)/commit/\(.)" | html)\">\(code)</a>" else code end;
  def pull: if . == "" then "" else "<a href=\"\(html)\">\(html)</a>" end;
  def states: group_by(.state) | map("\(length) \(.[0].state)") | join(", ");
'

# summarize is the summary of one update, or of an order that was refused.
summarize() {
  UPDATE=$update STATE=${state:-not accepted} COMMIT=$commit PULL=$pull REASON=$reason RULE=$rule jq -rn --rawfile answer "$work/body" "$summarizing"'
    def row($name; $html): if $html == "" then "" else "<tr><th align=\"left\">\($name)</th><td>\($html)</td></tr>\n" end;
    ($answer | try fromjson catch {} | objects // {}) as $made
    | [$made.files[]? | objects][:100] as $files
    | "<h3>\(env.APP | html) in \(env.ENVIRONMENT | html) to \(env.TAG | html): \(env.STATE | html)</h3>\n<table>\n"
    + row("Reason"; env.REASON | html)
    + row("Pull request"; env.PULL | pull)
    + row("Commit"; env.COMMIT | commit)
    + row("Proof"; if $made.commit == null then "" elif ($made.proof // "") == "" and env.PULL != "" then "none: the pull request was merged as this commit" elif ($made.proof // "") == "" then "none: \($made.author | html) claims the update" else "key \($made.proof | html)" end)
    + ($files | map(row("File"; (.file | code) + if (.problem // "") == "" then "" else ": \(.problem | html)" end)) | join(""))
    + row("Allowed by"; env.RULE | code)
    + row("Tag"; env.TAG | code) + row("Digest"; env.DIGEST | code)
    + row("Update"; env.UPDATE | code) + row("Details"; if env.UPDATE == "" then "" else "tallyman explain \(env.UPDATE)" | code end)
    + "</table>\n"
    + ($files | map(select(.diff | type == "array") | "<pre>" + (.diff[:100] | map(html) | join("\n")) + "</pre>\n") | join(""))'
}

# summarize_list is the summary of several updates: as many rows as a summary of GitHub's has room for.
summarize_list() {
  REASON=$reason jq -r "$summarizing"'
    "<h3>\(length) updates to \(env.TAG | html): \(states | html)</h3>\n" + (if env.REASON == "" then "" else "<p>\(env.REASON | html)</p>\n" end)
    + "<table>\n<tr><th>App</th><th>Environment</th><th>State</th><th>Commit or pull request</th><th>Reason</th><th>Details</th></tr>\n"
    + (.[:500] | map("<tr><td>\(.app | html)</td><td>\(.environment | html)</td><td>\(.state | html)</td><td>\(if .commit == "" then .pullRequest | pull else .commit | commit end)</td><td>\(.reason[:300] | html)</td><td>\("tallyman explain \(.id)" | code)</td></tr>\n") | join(""))
    + "</table>\n" + if length > 500 then "<p>and \(length - 500) more</p>\n" else "" end' "$work/updates"
}

main
