"""The browser page of what cameras and fusion show now. Read-only; free of ROS and PyTorch."""
