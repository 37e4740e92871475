"""The unit that a form names."""

from uuid import UUID

from archive.access.listings import unit_choices
from archive.web.pages.forms import Form
from archive.wiring import Services


def chosen_unit(form: Form, services: Services) -> UUID | None:
    """Return the open unit that a form names; what is wrong with it is noted."""
    with services.database.read() as tx:
        offered = {str(unit.id): unit.id for unit in unit_choices(tx)}
    found = offered.get(form.value("unit"))
    if found is None:
        form.refuse("unit", "form.choose")
    return found
