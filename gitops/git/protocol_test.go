package git

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// What a server lists is read whatever it is, and never taken for something else.
func FuzzAdvertisement(f *testing.F) {
	f.Add([]byte("0000"), "main")
	f.Add([]byte(line(hostTip.String()+" HEAD\x00shallow symref=HEAD:refs/heads/main\n")+line(hostTip.String()+" refs/heads/main\n")+"0000"), "main")
	f.Add([]byte(line(hostTip.String()+" refs/heads/main\x00shallow\n")+line(hostTip.String()+" refs/heads/tallyman/prod/shop\n")+"0000"), "main")
	f.Add([]byte(line(Hash{}.String()+" capabilities^{}\x00report-status object-format=sha256\n")+"0000"), "main")
	f.Fuzz(func(t *testing.T, answer []byte, branch string) {
		a, err := readAdvertisement(bytes.NewReader(answer), branch, []string{"tallyman/"})
		if err != nil {
			return
		}
		if !a.Tip.IsZero() && (a.Empty || !bytes.Contains(bytes.ToLower(answer), []byte(a.Tip.String()))) {
			t.Errorf("the branch %q is at %s of %q", branch, a.Tip, answer)
		}
		for name := range a.Below {
			if !bytes.Contains(answer, []byte(" refs/heads/"+name)) || !strings.HasPrefix(name, "tallyman/") {
				t.Errorf("it tells of %q of %q", name, answer)
			}
		}
		if a.CanFetch(branch) == nil && (a.Tip.IsZero() || !a.Can("shallow")) {
			t.Errorf("%+v can be fetched", a)
		}
	})
}

// Of the answer to a fetch nothing but the first band is taken for the pack.
func FuzzFetchAnswer(f *testing.F) {
	f.Add([]byte(line("NAK\n") + line("\x02Counting\n") + line("\x01PACK") + line("\x01more") + "0000"))
	f.Add([]byte(line("shallow "+hostTip.String()) + "0000" + line("ACK "+hostTip.String()+" common\n") + line("\x03disk is full")))
	f.Add([]byte(line("ERR no")))
	f.Fuzz(func(t *testing.T, answer []byte) {
		pack, err := beginAnswer(bytes.NewReader(answer))
		if err != nil {
			return
		}
		content, err := io.ReadAll(pack)
		if err == nil && !pack.ended {
			t.Error("it ended without its end")
		}
		if len(content) >= len(answer) {
			t.Errorf("%d bytes of %d", len(content), len(answer))
		}
	})
}

func TestAnAnswerToAFetchIsReadInOrder(t *testing.T) {
	for name, tt := range map[string]struct{ answer, pack, says string }{
		"acknowledged":       {line("shallow "+hostTip.String()) + "0000" + line("ACK "+hostTip.String()+" common\n") + line("ACK "+hostTip.String()+" ready\n") + line("NAK\n") + line("ACK "+hostTip.String()+"\n") + line("\x01PA") + line("\x02progress") + line("\x01CK") + "0000", "PACK", ""},
		"nothing in common":  {line("NAK\n") + line("\x01PACK") + "0000", "PACK", ""},
		"an unknown line":    {line("HELLO\n") + line("\x01PACK") + "0000", "", "malformed"},
		"a line in the pack": {line("NAK\n") + line("\x01PA") + line("ACK\n"), "PA", "malformed"},
		"broken off":         {line("NAK\n") + line("\x01PA") + line("\x03disk\nis full"), "PA", "the server broke off: disk is full"},
		"an early end":       {line("NAK\n") + line("\x01PA"), "PA", "ends early"},
		"an error":           {line("ERR upload-pack: not our ref"), "", "not our ref"},
	} {
		var content []byte
		pack, err := beginAnswer(strings.NewReader(tt.answer))
		if err == nil {
			content, err = io.ReadAll(pack)
		}
		if string(content) != tt.pack || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %q and %v, want %q and %q", name, content, err, tt.pack, tt.says)
		}
		if UnknownToServer(err) != (name == "an error") {
			t.Errorf("%s: unknown to the server is %t", name, UnknownToServer(err))
		}
	}
}

// Whatever stands in a commit, its parts are parts of it.
func FuzzParseCommit(f *testing.F) {
	f.Add([]byte("tree 1111111111111111111111111111111111111111\nparent 2222222222222222222222222222222222222222\nauthor A <b> 1 +0000\ncommitter A <b> 1 +0000\ngpgsig x\n y\n\nOne\n\nTwo\n"))
	f.Add([]byte("\n\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCommit(data)
		if !bytes.HasSuffix(data, c.Message) || !bytes.Contains(data, []byte(c.Author.Name)) || !bytes.Contains(c.Message, []byte(c.Subject())) {
			t.Errorf("%+v is not of %q", c, data)
		}
		if err == nil && c.Tree.IsZero() {
			t.Error("a commit without a tree was taken")
		}
	})
}
