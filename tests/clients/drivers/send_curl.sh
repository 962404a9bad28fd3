# Send with curl, as people do: one command a line on stdin, and on stdout what was answered.

# docs/clients.md shows from here
trigger() {
  curl -s -X POST \
    "$RELAY_URL/v2/enqueue" \
    -H "Content-Type: application/json" \
    -d '{
      "routing_key": "'"$PD_ROUTING_KEY"'",
      "event_action": "trigger",
      "dedup_key": "'"$1"'",
      "payload": {
        "summary": "A test, please ignore",
        "severity": "info",
        "source": "test-script"
      }
    }'
}
# to here

# No Content-Type, so curl says application/x-www-form-urlencoded.
other() {
  curl -s -X POST "$RELAY_URL/v2/enqueue" \
    -d '{"routing_key": "'"$PD_ROUTING_KEY"'", "event_action": "'"$1"'", "dedup_key": "'"$2"'"}'
}

mint() {
  curl -s "$RELAY_URL/v2/enqueue" -d '{"routing_key": "'"$PD_ROUTING_KEY"'", "event_action": "trigger",
    "payload": {"summary": "A test", "severity": "warning", "source": "test-script"}}'
}

bad() {
  curl -s "$RELAY_URL/v2/enqueue" -d '{"routing_key": "'"$PD_ROUTING_KEY"'", "event_action": "trigger",
    "dedup_key": "'"$1"'", "payload": {"summary": "A test", "severity": "Info", "source": "test-script"}}'
}

change() {
  curl -s -X POST "$RELAY_URL/v2/change/enqueue" -H "Content-Type: application/json" \
    -d '{
      "routing_key": "'"$PD_ROUTING_KEY"'",
      "payload": {
        "summary": "'"$1"'",
        "timestamp": "'$(date -u +%Y-%m-%dT%H:%M:%SZ)'",
        "source": "pipeline"
      },
      "links": [{"href": "https://git.example.com/api-service/commit/0f3c", "text": "Commit"}]
    }'
}

while read -r action key; do
  case $action in
    trigger) trigger "$key" ;;
    mint) mint ;;
    change) change "$key" ;;
    bad) bad "$key" ;;
    empty) curl -s -X POST "$RELAY_URL/v2/enqueue" ;;
    *) other "$action" "$key" ;;
  esac | tr -d '\n'
  echo
done
