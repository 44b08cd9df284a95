package image_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

func TestParsePlatform(t *testing.T) {
	for text, want := range map[string]image.Platform{
		"linux/amd64":    {OS: "linux", Architecture: "amd64"},
		"linux/arm64/v8": {OS: "linux", Architecture: "arm64", Variant: "v8"},
		"linux/arm/v7":   {OS: "linux", Architecture: "arm", Variant: "v7"},
		"windows/amd64":  {OS: "windows", Architecture: "amd64"},
	} {
		got, err := image.ParsePlatform("f", text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	shape := " is not a platform: write os/architecture or os/architecture/variant in small letters, such as linux/amd64 or linux/arm/v7"
	for text, want := range map[string]string{
		"":                  `f: ""` + shape,
		"amd64":             `f: "amd64"` + shape,
		"linux/":            `f: "linux/"` + shape,
		"linux/arm/v7/x":    `f: "linux/arm/v7/x"` + shape,
		"Linux/amd64":       `f: "Linux/amd64"` + shape,
		"linux/amd64 ":      `f: "linux/amd64 "` + shape,
		"linux/x86_64":      `f: "linux/x86_64" is not how images call that architecture: write linux/amd64`,
		"linux/aarch64":     `f: "linux/aarch64" is not how images call that architecture: write linux/arm64`,
		"linux/armv7":       `f: "linux/armv7" is not how images call that architecture: write linux/arm/v7`,
		"linus/amd64":       `f: "linus/amd64" does not begin with an operating system of images: use one of linux, windows, darwin, freebsd, netbsd, openbsd, dragonfly, solaris, illumos, aix, android, wasip1`,
		"linux/amd46":       `f: "linux/amd46" does not name an architecture of images: use one of amd64, arm64, arm, 386, ppc64le, ppc64, s390x, riscv64, loong64, mips64le, mips64, mipsle, mips, wasm`,
		"unknown/unknown":   `f: "unknown/unknown" does not begin with an operating system of images: use one of linux, windows, darwin, freebsd, netbsd, openbsd, dragonfly, solaris, illumos, aix, android, wasip1`,
		"linux/amd64\nx: y": `f: "linux/amd64\nx: y"` + shape,
	} {
		_, err := image.ParsePlatform("f", text)
		if err == nil || err.Error() != want || gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The usual variant may be named or not, and a machine runs what is for an earlier one.
func TestServes(t *testing.T) {
	for _, c := range []struct {
		has, demanded string
		want          bool
	}{
		{"linux/amd64", "linux/amd64", true},
		{"linux/arm64/v8", "linux/arm64", true},
		{"linux/arm64", "linux/arm64/v8", true},
		{"linux/arm/v7", "linux/arm", true},
		{"linux/arm/v6", "linux/arm", true},
		{"linux/arm/v7", "linux/arm/v6", false},
		{"linux/amd64/v3", "linux/amd64", false},
		{"linux/amd64", "linux/amd64/v3", true},
		{"linux/arm64/v9", "linux/arm64", false},
		{"linux/ppc64le/power9", "linux/ppc64le/power9", true},
		{"linux/ppc64le/power9", "linux/ppc64le", false},
		{"linux/amd64", "linux/arm64", false},
		{"windows/amd64", "linux/amd64", false},
	} {
		both := platforms(t, c.has, c.demanded)
		if got := both[0].Serves(both[1]); got != c.want {
			t.Errorf("%s serves %s: %t", c.has, c.demanded, got)
		}
	}
}

// Of several that would do, the best is what a machine pulls: what is missing of others
// keeps nothing back.
func TestTheBestPlatformMustBeThere(t *testing.T) {
	rules := image.Rules{Platforms: platforms(t, "linux/arm")}
	a := present(a)
	a.Platforms = platforms(t, "linux/arm/v5", "linux/arm/v7", "linux/arm/v6")
	for missing, want := range map[string]image.Outcome{"linux/arm/v6": image.OutcomePresent, "linux/arm/v7": image.OutcomePlatform} {
		a.Missing = platforms(t, missing)
		if got := image.Judge(rules, update(nil), a, nil, noon, noon).Outcome; got != want {
			t.Errorf("without %s: %s", missing, got)
		}
	}
}

func FuzzParsePlatform(f *testing.F) {
	for _, text := range []string{"linux/amd64", "linux/arm/v7", "unknown/unknown", "linux//", "linux/arm/vinf"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := image.ParsePlatform("f", text)
		if err != nil {
			return
		}
		if p.String() != text || !p.IsReal() || !p.Serves(p) {
			t.Errorf("%q is %+v", text, p)
		}
	})
}
