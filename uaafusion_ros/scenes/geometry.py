"""The moving camera and the canvas it projects the street onto.

World frame: X right, Y up, Z along the street, in metres. The camera looks along +Z; its small
pitch and yaw are shifts of the principal point, so that depth is constant along an image row on the
ground and along a column on a house front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

Colour = tuple[float, float, float, float]  # blue, green, red reflectance and heat, 0..255

NEAR = 0.6  # metres; what is closer is clipped
FAR = 105.0  # metres; objects enter the street here
DEPTH_STEPS_PER_METRE = 2.0  # the depth plane is a byte; 255 is the sky
LIGHT_SCALE = 4  # light falling on the scene is kept at a quarter of the resolution
SUBPIXEL_BITS = 4
_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 6)[None]


@dataclass(frozen=True)
class Camera:
    """Pinhole camera: position in metres, focal length and principal point in pixels."""

    height: int
    width: int
    focal: float
    centre_u: float
    horizon: float
    x: float
    y: float
    z: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points [..., 3] with depth above zero to pixels [..., 2]."""
        depth = points[..., 2] - self.z
        pixels = np.empty((*points.shape[:-1], 2))
        pixels[..., 0] = self.centre_u + self.focal * (points[..., 0] - self.x) / depth
        pixels[..., 1] = self.horizon + self.focal * (self.y - points[..., 1]) / depth
        return pixels


@dataclass(frozen=True)
class Lamp:
    """A light source as the visible camera sees it: pixel, radius in pixels, BGR strength."""

    u: float
    v: float
    radius: float
    strength: tuple[float, float, float]


def shade(colour: Sequence[float], factor: float, heat: float = 0.0) -> Colour:
    """The same material lit differently, and warmer by `heat`."""
    blue, green, red, warmth = colour
    return (
        min(blue * factor, 255.0),
        min(green * factor, 255.0),
        min(red * factor, 255.0),
        min(max(warmth + heat, 0.0), 255.0),
    )


def depth_byte(metres: float | np.ndarray) -> np.ndarray:
    """Depth in metres as stored in the depth plane."""
    steps = np.asarray(metres) * DEPTH_STEPS_PER_METRE
    return np.minimum(np.maximum(steps, 1), 254).astype(np.uint8)


def clip_near(points: np.ndarray, plane_z: float) -> np.ndarray:
    """Part of the polygon [N, 3] beyond plane_z (Sutherland-Hodgman against one plane)."""
    kept = []
    for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        inside, next_inside = start[2] >= plane_z, end[2] >= plane_z
        if inside:
            kept.append(start)
        if inside != next_inside:
            kept.append(start + (end - start) * (plane_z - start[2]) / (end[2] - start[2]))
    return np.array(kept).reshape(-1, 3)


def capsules(
    starts: np.ndarray, ends: np.ndarray, start_radii: np.ndarray, end_radii: np.ndarray
) -> np.ndarray:
    """Outlines [N, 12, 2] of tapered limbs between pixels [N, 2]."""
    along = ends - starts
    angle = np.arctan2(along[:, 1], along[:, 0])[:, None] + _HALF_TURN
    around = np.empty((*angle.shape, 2))
    around[..., 0], around[..., 1] = np.cos(angle), np.sin(angle)
    cap_end = ends[:, None] + around * end_radii[:, None, None]
    cap_start = starts[:, None] - around * start_radii[:, None, None]
    return np.concatenate((cap_end, cap_start), axis=1)


@dataclass(frozen=True)
class Face:
    """A flat polygon in the world [N, 3] and its material."""

    points: np.ndarray
    colour: Colour
    glow: float = 0.0
    convex: bool = True
    labelled: bool = True  # otherwise only the material below it changes


@dataclass
class Canvas:
    """What one frame is painted on, back to front.

    surface: uint8 [H, W, 4], reflectance (BGR) and heat. planes: uint8 [H, W, 3], class label, own
    light and depth. light: float32 [H/4, W/4], light falling on the scene. lamps: what dazzles.
    """

    camera: Camera
    surface: np.ndarray
    planes: np.ndarray
    light: np.ndarray
    ambient: float
    lamps: list[Lamp] = field(default_factory=list)

    @classmethod
    def blank(cls, camera: Camera, ambient: float) -> Canvas:
        size = (camera.height, camera.width)
        low = (-(-size[0] // LIGHT_SCALE), -(-size[1] // LIGHT_SCALE))
        return cls(
            camera,
            np.empty((*size, 4), np.uint8),
            np.empty((*size, 3), np.uint8),
            np.full(low, ambient, np.float32),
            ambient,
        )

    def in_view(self, x: float, z: float, radius: float) -> bool:
        """Whether a thing of that radius (metres) at x, z may show in the image."""
        camera = self.camera
        ahead = z - camera.z + radius
        spread = 0.53 * camera.width / camera.focal  # a little more: the principal point sways
        return 0.0 < ahead < FAR and abs(x - camera.x) < spread * ahead + radius

    def sees(self, pixels: np.ndarray) -> bool:
        left, top = pixels.min(axis=0)
        right, bottom = pixels.max(axis=0)
        camera = self.camera
        return bool(left < camera.width and top < camera.height and right >= 0 and bottom >= 0)

    def corners(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels as OpenCV's fixed-point integers, kept within its range."""
        limit = 8.0 * max(self.camera.width, self.camera.height)
        fixed = np.minimum(np.maximum(pixels, -limit), limit) * (1 << SUBPIXEL_BITS)
        return np.rint(fixed).astype(np.int32)

    def fill(
        self,
        corners: np.ndarray,
        colour: Colour,
        label: int | None,
        depth: int,
        glow: float = 0.0,
        convex: bool = True,
    ) -> None:
        """Paints a polygon given by `corners()`; without a label only its material changes.

        depth: as in the depth plane.
        """
        bits = SUBPIXEL_BITS
        if convex:
            cv2.fillConvexPoly(self.surface, corners, colour, cv2.LINE_8, bits)
            if label is not None:
                cv2.fillConvexPoly(self.planes, corners, (label, glow, depth), cv2.LINE_8, bits)
        else:
            cv2.fillPoly(self.surface, [corners], colour, cv2.LINE_8, bits)
            if label is not None:
                cv2.fillPoly(self.planes, [corners], (label, glow, depth), cv2.LINE_8, bits)

    def faces(self, faces: Sequence[Face], label: int | None) -> None:
        """Paints flat polygons given in the world, in their order."""
        nearest = self.camera.z + NEAR
        polygons = [face.points for face in faces]
        vertices = np.concatenate(polygons)
        if vertices[:, 2].min() < nearest:
            polygons = [
                polygon if polygon[:, 2].min() >= nearest else clip_near(polygon, nearest)
                for polygon in polygons
            ]
            faces = [f for f, polygon in zip(faces, polygons, strict=True) if len(polygon) > 2]
            polygons = [polygon for polygon in polygons if len(polygon) > 2]
            if not faces:
                return
            vertices = np.concatenate(polygons)
        pixels = self.camera.project(vertices)
        if not self.sees(pixels):
            return
        corners = self.corners(pixels)
        counts = [len(polygon) for polygon in polygons]
        ends = np.cumsum(counts, dtype=np.int64)
        depths = np.add.reduceat(vertices[:, 2], ends - counts) / counts - self.camera.z
        bounds = (ends - counts).tolist(), ends.tolist(), depth_byte(depths).tolist()
        for face, begin, end, depth in zip(faces, *bounds, strict=True):
            name = label if face.labelled else None
            self.fill(corners[begin:end], face.colour, name, depth, face.glow, face.convex)

    def ring(self, points: np.ndarray, radius: float, colour: Colour, label: int) -> None:
        """Paints a closed line of `radius` metres through world points [N, 3]."""
        if points[:, 2].min() < self.camera.z + NEAR:
            return
        depth = float(points[:, 2].mean()) - self.camera.z
        pixels = self.camera.project(points)
        if not self.sees(pixels):
            return
        thickness = max(1, round(2 * radius * self.camera.focal / depth))
        corners = self.corners(pixels)
        values = (label, 0.0, float(depth_byte(depth)))
        for plane, paint in ((self.surface, colour), (self.planes, values)):
            cv2.polylines(plane, [corners], True, paint, thickness, cv2.LINE_8, SUBPIXEL_BITS)

    def sprite(
        self,
        levels: Sequence[np.ndarray],
        masks: Sequence[np.ndarray],
        centre: tuple[float, float, float],
        size: tuple[float, float],
        label: int,
        glow: float = 0.0,
    ) -> None:
        """Paints a picture that faces the camera: uint8 [h, w, 4] levels, each half the last.

        centre: middle of the picture in the world; size: height and width in metres.
        """
        camera = self.camera
        depth = centre[2] - camera.z
        if depth < NEAR:
            return
        scale = camera.focal / depth
        middle = camera.project(np.array(centre))
        tall, wide = size[0] * scale, size[1] * scale
        top, left = float(middle[1]) - tall / 2, float(middle[0]) - wide / 2
        row0, row1 = max(0, int(top)), min(camera.height, int(np.ceil(top + tall)))
        column0, column1 = max(0, int(left)), min(camera.width, int(np.ceil(left + wide)))
        if row0 >= row1 or column0 >= column1:
            return
        shrink = max(0, int(np.log2(max(levels[0].shape[0] / tall, 1.0))))
        level = min(shrink, len(levels) - 1)
        picture, mask = levels[level], masks[level]
        step_v, step_u = picture.shape[0] / tall, picture.shape[1] / wide
        matrix = np.array(
            ((step_u, 0, (column0 - left) * step_u), (0, step_v, (row0 - top) * step_v))
        )
        target = (column1 - column0, row1 - row0)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        colours = cv2.warpAffine(picture, matrix, target, None, flags, cv2.BORDER_REPLICATE)
        shape = cv2.warpAffine(mask, matrix, target, None, flags, cv2.BORDER_CONSTANT)
        shape = cv2.threshold(shape, 127, 255, cv2.THRESH_BINARY)[1]
        values = np.empty((*shape.shape, 3), np.uint8)
        values[...] = (label, round(glow), int(depth_byte(depth)))
        cv2.copyTo(colours, shape, self.surface[row0:row1, column0:column1])
        cv2.copyTo(values, shape, self.planes[row0:row1, column0:column1])

    def light_up(self, points: np.ndarray, light: float) -> None:
        """Sets the light falling on a patch of ground [N, 3]."""
        nearest = self.camera.z + NEAR
        if points[:, 2].min() < nearest:
            points = clip_near(points, nearest)
        if len(points) < 3:
            return
        corners = self.corners(self.camera.project(points) / LIGHT_SCALE)
        cv2.fillConvexPoly(self.light, corners, light, cv2.LINE_8, SUBPIXEL_BITS)

    def cast_shadow(self, x: float, z: float, half_width: float, half_length: float) -> None:
        """Takes light off the ground under a thing; only near ones are worth it."""
        if not 0.0 < z - self.camera.z < 45.0:
            return
        corners = ((-1, -0.6), (-0.5, -1), (0.5, -1), (1, -0.6), (1, 0.6), (0.5, 1), (-0.5, 1),
                   (-1, 0.6))  # fmt: skip
        points = [(x + a * half_width, 0.0, z + b * half_length) for a, b in corners]
        self.light_up(np.array(points), 0.6 * self.ambient)

    def add_lamp(
        self, point: Sequence[float], radius: float, strength: tuple[float, float, float]
    ) -> None:
        """Notes a lamp of `radius` metres for the visible camera's glare."""
        position = np.array(point, np.float64)
        depth = position[2] - self.camera.z
        if depth > NEAR:
            u, v = self.camera.project(position)
            self.lamps.append(Lamp(u, v, radius * self.camera.focal / depth, strength))


def pyramid(picture: np.ndarray, count: int) -> list[np.ndarray]:
    """The picture and its halvings."""
    levels = [picture]
    while len(levels) < count and min(levels[-1].shape[:2]) >= 8:
        levels.append(cv2.pyrDown(levels[-1]))
    return levels
