"""Whether an account exists must not be told by how long a refusal takes: its decoy costs what a password costs."""

import subprocess
import sys

from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from archive.access import passwords

_TELL = """
from argon2 import extract_parameters
from archive.access import passwords
print(extract_parameters(passwords._hasher.hash("x")), passwords.matches(passwords.decoy(), "x"))
"""


def test_the_decoy_costs_what_a_password_costs_and_is_nobodys() -> None:
    decoy = passwords.decoy()
    assert extract_parameters(decoy) == extract_parameters(passwords._hasher.hash("x"))
    assert decoy != passwords.decoy()
    assert not passwords.matches(decoy, "x")


def test_passwords_are_hashed_as_the_standard_recommends() -> None:
    """Asked of a process of its own: tests hash with less."""
    told = subprocess.run([sys.executable, "-c", _TELL], capture_output=True, text=True, check=True, timeout=60).stdout
    assert told == f"{extract_parameters(PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY).hash('x'))} False\n"
