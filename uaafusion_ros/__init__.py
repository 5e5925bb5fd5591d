"""UAAFusion for ROS 2: infrared and visible images in; fused image, mask and attribution out.

Importing this package loads nothing heavy. Parts: `network` (the method, pure torch), `inference`
(NumPy frames in and out), `node` (ROS 2), `training` and `scenes` (the synthetic street).
"""

__version__ = "0.1.0"
