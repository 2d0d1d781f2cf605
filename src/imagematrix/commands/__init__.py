"""What a command does once its flags are read, a module each: asks `planning`, then acts through the rest."""
