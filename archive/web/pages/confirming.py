"""Asking a signed-in person for the password again, in a form, before an act that counts as that person's own."""

from archive.access.attempts import TooManyAttempts
from archive.access.callers import Caller
from archive.access.passwords import MAX_PASSWORD_CHARACTERS
from archive.access.sessions import SignInRefused
from archive.web.pages.forms import Form
from archive.wiring import Services
from retention.disposition.confirming import Confirmed, confirm


def confirmed(form: Form, caller: Caller, services: Services, request_id: str) -> Confirmed | None:
    """Return who has just given the own password, None where the form says what is wrong. Only a good form is asked."""
    password = form.value("password")
    if not password:
        form.refuse("password", "form.required")
    elif len(password) > MAX_PASSWORD_CHARACTERS:
        form.refuse("password", "form.too_long", most=MAX_PASSWORD_CHARACTERS)
    if not form.is_good:
        return None
    try:
        return confirm(services.sign_ins, caller, password, at=services.clock.now(), request=request_id)
    except SignInRefused:
        form.refuse("password", "account.password_wrong")
    except TooManyAttempts as error:
        form.refuse("password", "sign_in.too_many", seconds=int(error.facts["retry_after_s"]))
    return None
