"""Numpy frames in, numpy products out; the one path that node, bags and command line share."""
