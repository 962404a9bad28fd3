"""What keeps an alert that fires quiet: one file for each kind of rule, and the registry of them."""
