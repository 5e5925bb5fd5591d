"""The synthetic street: aligned infrared and visible frames with their class labels."""
