"""The closed words of devices."""

from enum import StrEnum


class DeviceState(StrEnum):
    """How a device is: 在用, 维修, 遗失, 报废."""

    IN_SERVICE = "in_service"
    REPAIR = "repair"
    LOST = "lost"
    RETIRED = "retired"
