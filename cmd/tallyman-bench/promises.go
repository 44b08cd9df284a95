package main

// What the core promises: updates that wait cost the others nothing, readers cost
// the writer nothing, and a replica that dies is replaced at once.

func (r *report) judgeCore() {
	for _, size := range []string{"L", huge} {
		r.judgeReaders(size)
	}
	large, ok := r.medianOf(huge, "0", endToEnd)
	small, too := r.medianOf("L", "0", endToEnd)
	r.atMost("one update end to end, XL by L", "x", 3, large/small, ok && too)

	var h held
	if r.Held != nil {
		h = *r.Held
	}
	r.atMost("an update beside 50,000 held ones, by one beside none", "x", 1.2, h.WithMS/h.NoneMS, h.Held >= 50_000)

	r.judgeHolds()
	r.judgeImages()

	var f failover
	if r.Failover != nil {
		f = *r.Failover
	}
	r.atMost("a killed replica's environments stand still, median", " ms", 1000, f.MedianMS, r.Failover != nil)
	r.atMost("a killed replica's environments stand still, at most", " ms", 3000, f.MaxMS, r.Failover != nil)

	var o oneFile
	if r.OneFile != nil {
		o = *r.OneFile
	}
	r.atMost("500 updates in one file of 3 MB, planned", " ms", 3000, o.PlanMS, o.Updates >= 500)

	var d discovered
	if r.Discovered != nil {
		d = *r.Discovered
	}
	whole := d.Apps >= 5_000
	r.atMost("5,000 apps x 4 discovered: start to all known", " ms", 1000, d.KnownMS, whole)
	r.atMost("5,000 apps x 4 discovered: most memory ever resident", " MiB", 300, d.PeakMiB, whole)
	r.atMost("100 new apps in one commit: from the look until known", " ms", 1000, d.NewKnownMS, whole)
	r.atMost("one update of a discovered app, by one of a configured app", "x", 1.2, d.AsConfigured, whole)
}

// judgeHolds is of what people hold: it goes at once when the hold ends, and nothing goes
// when a stop was answered.
func (r *report) judgeHolds() {
	var f freed
	if r.Freed != nil {
		f = *r.Freed
	}
	r.atMost("10,000 held updates: from the freeze's end until the newest of each app is written", " ms", 10_000, f.WroteMS, f.Held >= 10_000)

	var s stopped
	if r.Stopped != nil {
		s = *r.Stopped
	}
	r.atMost("a stop in a burst of 1,000: last push after its answer", " ms", 250, s.LastMS, s.Deliveries >= 1000)
}

// judgeImages is of looks at images, which cost little, once for each image, and hold up no
// other app.
func (r *report) judgeImages() {
	var i images
	if r.Images != nil {
		i = *r.Images
	}
	r.atMost("an update whose image is looked at, later than one without", " ms", 5, i.MoreMS, r.Images != nil)
	r.atMost("an update while another app's image is not there, by one while all are", "x", 1.1, i.BesideMS/i.LookedMS, r.Images != nil)
	r.atMost("a burst of 1,000 whose images are looked at", " ms", 3000, i.BurstMS, i.Burst >= 1000)
	r.atMost("looks at images in a burst, by its images", "x", 1, float64(i.Looks)/float64(i.Images), i.Burst >= 1000)
	r.atMost("an image that was not there for 8 s, until its commit, median", " ms", 1000, i.AppearsMS, i.Late > 0)
}

func (r *report) judgeReaders(size string) {
	var found readers
	measured := false
	for _, s := range r.Readers {
		if s.Size == size {
			found, measured = s, true
		}
	}
	r.atMost(size+": status while updates go on, p99", " ms", 100, found.P99MS, measured)
	r.atMost(size+": a push later for a status at the same moment, p90 by p90", " ms", 10, found.With.P90MS-found.Alone.P90MS, measured)
}
