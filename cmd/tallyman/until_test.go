package main

import (
	"strings"
	"testing"
	"time"
)

// Each form of a time is read as a clock on the wall shows it, also where clocks are
// changed meanwhile.
func TestTimesUntil(t *testing.T) {
	now := time.Date(2027, 3, 26, 12, 0, 0, 0, time.UTC) // a Friday; Berlin's clocks go forward on Sunday at 02:00
	for text, want := range map[string]string{
		"2027-04-01T08:00:00Z":           "2027-04-01T08:00:00Z",
		"2027-04-01T08:00:00+02:00":      "2027-04-01T06:00:00Z",
		"2027-03-27 08:00@Europe/Berlin": "2027-03-27T07:00:00Z",
		"2027-03-29 08:00@Europe/Berlin": "2027-03-29T06:00:00Z",
		"2027-03-29@Europe/Berlin":       "2027-03-28T22:00:00Z",
		"2027-03-28 02:30@Europe/Berlin": "2027-03-28T01:00:00Z", // the clocks leave it out
		"2027-10-31 02:30@Europe/Berlin": "2027-10-31T00:30:00Z", // they show it twice: the first
		"2027-01-04 08:00@Pacific/Apia":  "is over: it was 2027-01-03T19:00:00Z",
		"Mon 08:00@Europe/Berlin":        "2027-03-29T06:00:00Z",
		"monday 08:00@UTC":               "2027-03-29T08:00:00Z",
		"Fri 12:00@UTC":                  "2027-04-02T12:00:00Z", // now is not to come
		"Fri 12:01@UTC":                  "2027-03-26T12:01:00Z",
		"Fri 11:59@UTC":                  "2027-04-02T11:59:00Z",
		"Sun 02:30@Europe/Berlin":        "2027-03-28T01:00:00Z",

		"Mon 08:00":              "is what a clock on the wall shows: say where, with --zone",
		"2027-04-01 08:00":       "is what a clock on the wall shows: say where, with --zone",
		"Mon 08:00@Berlin":       `--zone "Berlin" is not a zone of the IANA time zone database`,
		"Mon 08:00@Local":        `--zone "Local" is not a zone of the IANA time zone database`,
		"2027-04-01T08:00:00Z@A": "has its zone already: leave --zone out",
		"2027-03-26T12:00:00Z":   "is over: it was 2027-03-26T12:00:00Z",
		"tomorrow":               `is not a time: write 2027-01-04T08:00:00Z, or with --zone "2027-01-04 08:00" or "Mon 08:00"`,
		"2027-02-30 08:00@UTC":   "is not a time: write ",
		"72h":                    "is not a time: write ",
	} {
		e := endFlags{}
		e.until, e.zone, _ = strings.Cut(text, "@")
		_, got, err := e.read(now)
		if err != nil {
			got = err.Error()
			if exitCode(err) != exitBadInput {
				t.Errorf("%q: exit %d", text, exitCode(err))
			}
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	for want, e := range map[string]endFlags{
		"both say when it ends": {lasts: time.Hour, until: "2027-04-01T08:00:00Z"},
		"which is missing":      {zone: "UTC"},
		"must be more than 0":   {lasts: -time.Hour},
	} {
		if _, _, err := e.read(now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", e, err)
		}
	}
	e := endFlags{lasts: 36 * time.Hour}
	if lasts, until, err := e.read(now); lasts != "36h0m0s" || until != "" || err != nil {
		t.Errorf("%q, %q, %v", lasts, until, err)
	}
	if none := (endFlags{}); none.given() || !e.given() {
		t.Error("what was given is not known")
	}
}

func TestHowFarAwayATimeIs(t *testing.T) {
	p := printer{now: noon}
	for want, away := range map[string]time.Duration{
		"in 0 s": -time.Second, "in 59 s": 59 * time.Second, "in 24 min": 23*time.Minute + 59*time.Second, "in 14 h": 14 * time.Hour, "in 72 h": 72*time.Hour - time.Second, "in 30 days": 30 * 24 * time.Hour,
	} {
		if got := p.ahead(noon.Add(away)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
