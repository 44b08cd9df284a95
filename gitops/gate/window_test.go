package gate

import (
	"testing"
	"time"
)

func weekly(t *testing.T, from, until string) Weekly {
	t.Helper()
	f, err := ParseWeekTime("from", from)
	if err != nil {
		t.Fatal(err)
	}
	u, err := ParseWeekTime("until", until)
	if err != nil {
		t.Fatal(err)
	}
	return Weekly{f, u}
}

// The weekend that the clocks are changed in is an hour shorter, or longer, and ends at
// the same time of day.
func TestAWeekendOfAClockChange(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s := Schedule{Zone: berlin, Windows: []Window{weekly(t, "Fri 16:00", "Mon 08:00")}}
	for friday, hours := range map[string]int{"2027-03-26": 63, "2027-10-29": 65, "2027-06-04": 64} {
		day, err := time.ParseInLocation(time.DateOnly, friday, berlin)
		if err != nil {
			t.Fatal(err)
		}
		begins := s.NextChange(day)
		ends := s.NextChange(begins)
		if begins.In(berlin).Format("Mon 15:04") != "Fri 16:00" || ends.In(berlin).Format("Mon 15:04") != "Mon 08:00" || ends.Sub(begins) != time.Duration(hours)*time.Hour {
			t.Errorf("%s: from %s until %s", friday, begins.In(berlin), ends.In(berlin))
		}
	}
}

// Windows between dates are open once, and overlapping ones are one.
func TestDatesAndUnions(t *testing.T) {
	date := func(text string) Date {
		d, err := ParseDate("from", text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	s := Schedule{Zone: tokyo, Windows: []Window{
		Once{date("2026-12-23"), date("2027-01-04")}, Once{date("2027-01-02 12:00"), date("2027-01-06 24:00")},
	}}
	begins := s.NextChange(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	ends := s.NextChange(begins)
	if got := begins.In(tokyo).Format(time.DateTime) + " " + ends.In(tokyo).Format(time.DateTime); got != "2026-12-23 00:00:00 2027-01-07 00:00:00" {
		t.Error(got)
	}
	if after := s.NextChange(ends); !after.IsZero() {
		t.Errorf("it changes again at %s", after)
	}
	// In the last days of a leap year, far ahead, too: there the zone is given by a rule.
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	far := Schedule{Zone: berlin, Windows: []Window{Once{date("2040-12-31 12:00"), date("2041-01-01 00:30")}}}
	begins = far.NextChange(time.Date(2040, 6, 1, 0, 0, 0, 0, time.UTC))
	ends = far.NextChange(begins)
	if got := begins.In(berlin).Format(time.DateTime) + " " + ends.In(berlin).Format(time.DateTime); got != "2040-12-31 12:00:00 2041-01-01 00:30:00" || !far.NextChange(ends).IsZero() {
		t.Error(got)
	}
	always := Schedule{Zone: time.UTC, Windows: []Window{weekly(t, "Mon 00:00", "Thu 00:00"), weekly(t, "Thu 00:00", "Mon 00:00")}}
	if at := always.NextChange(begins); !at.IsZero() || !always.Open(begins) {
		t.Errorf("what is always open changes at %s", at)
	}
}

func TestTimesThatCannotBe(t *testing.T) {
	for _, text := range []string{"", "Fri", "16:00", "Fri 16", "Fri 16:60", "Fri 24:01", "Fri 25:00", "Fry 16:00", "Fri 4:00", "Fri  16:00", "Fri +4:00", "Fri 16:00:00"} {
		if got, err := ParseWeekTime("weekly[0].from", text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
	for _, text := range []string{"", "2026-02-29", "2026-1-1", "2026-12-19T18:00", "2026-12-19 18", "19.12.2026", "2026-12-19 24:30"} {
		if got, err := ParseDate("once[0].from", text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
	if got, err := ParseWeekTime("", "saturday 24:00"); err != nil || got.String() != "Sun 00:00" {
		t.Error(got, err)
	}
}
