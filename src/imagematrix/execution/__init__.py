"""Does what a plan says: knows the order, failures and retries, and neither Docker nor disk nor process."""
