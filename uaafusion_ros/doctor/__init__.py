"""`uaafusion doctor`: what of the machine and the running system is fine, and what to do."""
