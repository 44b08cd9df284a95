package catalog

// Apart are the apps in an environment by the manifest repository that their files are in,
// sorted; nothing where all targets are in the same one. The map is not to be changed.
func (c *Catalog) Apart(environment string) map[string][]string { return c.apart[environment] }

func (c *Catalog) setApart() {
	c.apart = make(map[string]map[string][]string)
	for _, t := range c.sorted {
		if c.apart[t.Environment] == nil {
			c.apart[t.Environment] = make(map[string][]string)
		}
		c.apart[t.Environment][t.Manifests] = append(c.apart[t.Environment][t.Manifests], t.App)
	}
}
