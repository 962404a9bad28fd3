// Send as users of go-pagerduty do: one command a line on stdin, and on stdout what the client said to it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/PagerDuty/go-pagerduty"
)

// docs/clients.md shows from here
// The functions of the package itself have PagerDuty's address built in; a client's methods do not.
var client = pagerduty.NewClient("", pagerduty.WithV2EventsAPIEndpoint(os.Getenv("RELAY_URL")))

func send(action, key, severity string) (*pagerduty.V2EventResponse, error) {
	event := pagerduty.V2Event{RoutingKey: os.Getenv("PD_ROUTING_KEY"), Action: action, DedupKey: key}
	if action == "trigger" {
		event.Payload = &pagerduty.V2Payload{
			Summary:  "The server cannot be reached",
			Source:   "srv01",
			Severity: severity,
			Class:    "reachability",
		}
	}
	return client.ManageEventWithContext(context.Background(), &event)
}

func deployed(summary string) (*pagerduty.ChangeEventResponse, error) {
	return client.CreateChangeEventWithContext(context.Background(), pagerduty.ChangeEvent{
		RoutingKey: os.Getenv("PD_ROUTING_KEY"),
		Payload: pagerduty.ChangeEventPayload{
			Summary:       summary,
			Source:        "pipeline",
			Timestamp:     time.Now().UTC().Format(time.RFC3339),
			CustomDetails: map[string]interface{}{"version": "v2.5.0"},
		},
		Links: []pagerduty.ChangeEventLink{},
	})
}

// to here

func say(action, key string) (map[string]string, error) {
	if action == "change" {
		_, err := deployed(key)
		return map[string]string{}, err
	}
	severity := "critical"
	if action == "bad" {
		action, severity = "trigger", "Info"
	}
	if action == "mint" {
		action, key = "trigger", ""
	}
	answer, err := send(action, key, severity)
	if err != nil {
		return nil, err
	}
	return map[string]string{"dedup_key": answer.DedupKey}, nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		action, key, _ := strings.Cut(lines.Text(), " ")
		told, err := say(action, key)
		if err != nil {
			told = map[string]string{"error": fmt.Sprintf("%T", err), "message": err.Error()}
		}
		line, _ := json.Marshal(told)
		fmt.Println(string(line))
	}
}
