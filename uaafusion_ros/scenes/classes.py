"""Class list of the synthetic street, numbered as in FMB."""

CLASSES: tuple[str, ...] = (
    "unlabelled",
    "road",
    "sidewalk",
    "building",
    "traffic light",
    "traffic sign",
    "vegetation",
    "sky",
    "person",
    "car",
    "truck",
    "bus",
    "motorcycle",
    "bicycle",
    "pole",
)

(
    UNLABELLED,
    ROAD,
    SIDEWALK,
    BUILDING,
    TRAFFIC_LIGHT,
    TRAFFIC_SIGN,
    VEGETATION,
    SKY,
    PERSON,
    CAR,
    TRUCK,
    BUS,
    MOTORCYCLE,
    BICYCLE,
    POLE,
) = range(len(CLASSES))

# RGB, one colour a class.
PALETTE: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0),
    (120, 70, 130),
    (235, 60, 230),
    (95, 95, 100),
    (255, 175, 40),
    (235, 230, 40),
    (105, 150, 40),
    (80, 140, 200),
    (225, 30, 65),
    (30, 40, 200),
    (40, 20, 100),
    (20, 110, 120),
    (60, 60, 255),
    (150, 30, 50),
    (185, 185, 185),
)
