"""`uaafusion bench`: what a frame costs, by model, mode and size."""
