package githubapp

// Settle waits for what goes on in the background.
func (a *App) Settle() { a.background.Wait() }
