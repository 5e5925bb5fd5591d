"""One module a command of `uaafusion`; each reads its arguments and calls the house."""
