package server

// knowLabels makes the series of what a configuration names, and removes those of what
// the one before named and this one does not. What was counted of it is no longer told;
// Prometheus has it.
func (s *Server) knowLabels(before, now *generation) {
	if before != nil {
		for environment := range before.config.Environments {
			if _, stays := now.config.Environments[environment]; !stays {
				s.metrics.lanes.forget(environment)
			}
		}
	}
	for environment := range now.config.Environments {
		s.metrics.lanes.know(environment)
		s.metrics.orders.know(environment)
	}
	for _, p := range now.proposing() {
		s.metrics.proposals.know(p.environment)
		s.metrics.proposals.knowForge(p.manifests)
	}
	s.metrics.repositories.know(now.repositories)
	for _, source := range now.sources() {
		s.metrics.deliveries.know(source)
	}
	s.metrics.apps.know(now.config.ManifestRepositoryNames(), now.config.DiscoversIn)
	s.metrics.apps.set(now.known())
	s.metrics.images.know(now, now.known())
	s.metrics.notify.know(now.config)
	s.metrics.rollouts.know(before, now)
	s.metrics.credentials.know(now.config, now.tokens, s.logger)
}
