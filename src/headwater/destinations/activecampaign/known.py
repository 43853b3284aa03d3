"""What is known of the people of one batch, and what was learned while it was sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from headwater.destinations.activecampaign.people import ids, own_email
from headwater.spec.event import Body


@dataclass(slots=True)
class Known:
    """Addresses by key and contacts by address, see `People`; what is new is kept when the batch has ended."""

    people: dict[str, str]
    contacts: dict[str, str]
    new_people: dict[str, str] = field(default_factory=dict)
    new_contacts: dict[str, str] = field(default_factory=dict)

    def email(self, body: Body) -> str:
        """Return the address of the person a call is about: its own, else the one that an identify call said."""
        return own_email(body) or self.email_of(*ids(body))

    def email_of(self, *keys: str) -> str:
        """Return the address of the first key that has one, "" for none."""
        return next((self.people[key] for key in keys if self.people.get(key)), "")

    def contact(self, email: str) -> str:
        """Return the id of the contact with this address, "" where it is not known."""
        return self.contacts.get(email.lower(), "")

    def note_contact(self, email: str, id_: str) -> None:
        """Remember a contact; "" that there is none."""
        if self.contacts.get(email.lower(), "") != id_:
            self.contacts[email.lower()] = self.new_contacts[email.lower()] = id_

    def note_person(self, key: str, email: str) -> None:
        """Remember an address."""
        self.people[key] = self.new_people[key] = email
