"""Where an infrared pixel lies in the visible image: estimated from pairs, judged, written down."""
