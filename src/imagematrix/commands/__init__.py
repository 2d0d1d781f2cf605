"""What each command does after its flags are read: it asks `planning`, then acts through the other packages."""
