"""Recordings without ROS: fused into new ones, into videos, and compared with earlier runs."""
