"""Training of the segmentation and fusion networks; offline, no ROS."""
