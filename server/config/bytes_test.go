package config

import "testing"

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{
		"1B": 1, "0B": 0, "1500B": 1500, "1KiB": 1 << 10, "400MiB": 400 << 20, "2GiB": 2 << 30, "1GiB": 1 << 30,
	} {
		got, ok := parseBytes(text)
		if !ok || got != want || got.String() != text {
			t.Errorf("%s: %d, %t, written as %s", text, got, ok, got)
		}
	}
	for _, text := range []string{"", "400", "400MB", "400Mi", "400 MiB", "-1MiB", "1.5GiB", "MiB", "9000000000GiB", "99999999999999999999B", "400mib"} {
		if got, ok := parseBytes(text); ok {
			t.Errorf("%q is taken as %d", text, got)
		}
	}
}
