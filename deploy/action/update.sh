#!/usr/bin/env bash
# Orders an update of tallyman as the job that this runs in, waits for its end, and writes the result into the job's log,
# summary and outputs. Exit status 0: the update is committed, or the branch has its tag already (without WAIT: it is accepted).
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
readonly longest_answer=1048576 longest_text=2000

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
readonly work

token='' token_at=0             # the job's token, and when it was given
status=''                       # of the last answer; 000 when there was none
update='' state='' commit='' reason='' rule=''
past_proxy=()                   # options of requests to this machine

main() {
  check_inputs
  new_token
  order
  [ "$WAIT" = true ] || finish 0
  await
}

check_inputs() {
  local name
  for name in TALLYMAN_URL APP ENVIRONMENT TAG; do
    [ -n "${!name:-}" ] || fail "the input $(input_of "$name") is empty"
  done
  TALLYMAN_URL=${TALLYMAN_URL%/}
  local rest='(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$'
  if [[ "$TALLYMAN_URL" =~ ^http://(127\.0\.0\.1|localhost)$rest ]]; then
    past_proxy=(--noproxy '*')
  elif ! [[ "$TALLYMAN_URL" =~ ^https://([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])$rest ]]; then
    fail 'the input url must begin with https:// and be a host, perhaps with a port and a path: the token goes there'
  fi
  [ -n "${AUDIENCE:-}" ] || AUDIENCE=$TALLYMAN_URL
  [[ "${WAIT:=true}" =~ ^(true|false)$ ]] || fail 'the input wait must be true or false'
  [[ "${TIMEOUT:=10m}" =~ ^([1-9][0-9]{0,5})([smh])$ ]] || fail 'the input timeout must be a number and s, m or h, such as 10m'
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
  [ -n "$update" ] || fail "no order was accepted within $TIMEOUT: $reason"
  fail "still ${state:-pending} after $TIMEOUT${reason:+: $reason}. tallyman goes on with it: tallyman explain $update"
}

order() {
  local body key
  body=$(jq -cn '{app: env.APP, environment: env.ENVIRONMENT, tag: env.TAG} + if (env.DIGEST // "") == "" then {} else {digest: env.DIGEST} end')
  # Nobody can guess the key, so no other job of the repository can use it first.
  key=github-$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  say "ordering $APP in $ENVIRONMENT to $TAG"
  answered /api/v1/updates --header 'Content-Type: application/json' --header "Idempotency-Key: $key" --data "$body"
  read_update '.updates[0] // {reason}'
  [ -n "$update" ] || fail "tallyman accepted no update: $reason"
  output update "$update"
  say "update $update is accepted"
}

# await looks at the update until it has ended.
await() {
  local pause=1 said=
  while true; do
    case "$state" in
      committed | unchanged) finish 0 ;;
      pending | proposed) ;;
      *) fail "not committed: $state${reason:+: $reason}" ;;
    esac
    if [ "$state $reason" != "$said" ]; then
      said="$state $reason"
      say "$state${reason:+: $reason}"
    fi
    pause_for "$pause"
    [ "$pause" -ge 5 ] || pause=$((pause + 1))
    answered "/api/v1/updates/$update"
    read_update .
  done
}

# read_update takes what the answer says of the update. Each value is one line, so that none can add an output, and the id is
# one that can stand in an address.
read_update() {
  local text
  [ -s "$work/body" ] || fail "tallyman's answer is empty: is $TALLYMAN_URL its address?"
  text=$(jq -er --argjson longest "$longest_text" "$1"' | [.id, .state, .commit, .rule, .reason // ([.blockedBy[]?.reason] | unique | join("; "))] |
    map(. // "" | tostring | gsub("[[:cntrl:]]"; " ") | .[:$longest]) | if .[0] | test("\\A[A-Za-z0-9-]{0,64}\\z") then join("\n") else error end' \
    "$work/body" 2> /dev/null) ||
    fail "tallyman's answer cannot be read: is $TALLYMAN_URL its address?"
  { read -r update; read -r state; read -r commit; read -r rule; read -r reason; } <<< "$text" || true
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
  [ "$1" != 0 ] || say "${state}${commit:+ $commit}${reason:+: $reason}"
  output state "$state"
  output commit "$commit"
  if [ -n "$commit" ]; then show_commit; else : > "$work/body"; fi
  UPDATE=$update STATE=${state:-not accepted} COMMIT=$commit REASON=$reason RULE=$rule jq -rn --rawfile answer "$work/body" '
    def plain: (. // "" | tostring | gsub("[[:cntrl:]]"; " "));
    def html: plain | @html "\(.)";
    def row($name; $html): if $html == "" then "" else "<tr><th align=\"left\">\($name)</th><td>\($html)</td></tr>\n" end;
    def code: if (. // "") == "" then "" else "<code>\(html)</code>" end;
    def link: "\(env.GITHUB_SERVER_URL // "https://github.com")/\(env.MANIFESTS)/commit/\(env.COMMIT)";
    ($answer | try fromjson catch {} | objects // {}) as $made
    | "<h3>\(env.APP | html) in \(env.ENVIRONMENT | html) to \(env.TAG | html): \(env.STATE | html)</h3>\n<table>\n"
    + row("Reason"; env.REASON | html)
    + row("Commit"; if env.COMMIT != "" and (env.MANIFESTS // "") != "" then "<a href=\"\(link | html)\">\(env.COMMIT | code)</a>" else env.COMMIT | code end)
    + row("Proof"; if $made.commit == null then "" elif ($made.proof // "") == "" then "none: \($made.author | html) claims the update" else "key \($made.proof | html)" end)
    + row("File"; $made.file | code)
    + row("Allowed by"; env.RULE | code)
    + row("Tag"; env.TAG | code) + row("Digest"; env.DIGEST | code)
    + row("Update"; env.UPDATE | code) + row("Details"; if env.UPDATE == "" then "" else "tallyman explain \(env.UPDATE)" | code end)
    + "</table>\n"
    + if ($made.diff | type) == "array" then "<pre>" + ($made.diff[:100] | map(html) | join("\n")) + "</pre>\n" else "" end' >> "$GITHUB_STEP_SUMMARY"
  exit "$1"
}

main
