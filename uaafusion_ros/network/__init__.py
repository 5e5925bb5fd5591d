"""The method in pure torch: no ROS, no OpenCV, no files but checkpoints."""
