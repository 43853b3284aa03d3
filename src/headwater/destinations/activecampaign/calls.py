"""What each call does in ActiveCampaign, one event at a time. Repeating one is harmless, except for tracked events.

Source: Segment, ActiveCampaign destination; ActiveCampaign, API v3 reference.
"""

from __future__ import annotations

from typing import Final

from headwater.destinations.activecampaign.account import AccountApi
from headwater.destinations.activecampaign.known import Known
from headwater.destinations.activecampaign.names import CHARS_MAX, fitted
from headwater.destinations.activecampaign.people import ids
from headwater.destinations.activecampaign.settings import Settings
from headwater.destinations.activecampaign.tracker import Tracker
from headwater.destinations.activecampaign.traits import Wanted, event_value, is_address, wanted
from headwater.destinations.contract import Delivered, Discarded, Outcome, Skipped
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.spec import conventions
from headwater.spec.event import Body, Call

NO_EMAIL: Final = Discarded(
    "No e-mail address: neither the call nor an earlier identify call of this person has one, so ActiveCampaign cannot"
    " tell whose it is."
)
NOBODY: Final = Skipped("The call names nobody by e-mail address: ActiveCampaign has nothing to keep it with.")
BAD_EMAIL: Final = Discarded("The e-mail address is not valid.")
NO_NAME: Final = Skipped(
    "The contact does not exist, and without a firstName or lastName none is created; see the setting Names only."
)
STAYED_OFF: Final = Skipped(
    "The contact has left a list and was not subscribed again; the rest was done. See the setting Subscribe again."
)
TOO_LONG: Final = Discarded(f"The event's name has more than {CHARS_MAX} characters; see the setting Long event names.")
NAMELESS: Final = Discarded("A track call needs an event name.")
NO_URL: Final = Discarded("A page call needs properties.url or context.page.url.")
NO_COMPANY: Final = Discarded("A group call needs traits.name or a groupId.")
NO_CONTACT: Final = Discarded("ActiveCampaign has no contact with this e-mail address; send an identify call first.")
OTHER_COMPANY: Final = Skipped(
    "The contact belongs to another account and stays there; see the setting Second company."
)
SAME_ADDRESS: Final = Skipped("The alias changes no e-mail address.")
TAKEN: Final = Discarded(
    "The new e-mail address belongs to another contact; ActiveCampaign joins no contacts: merge them there."
)


class Calls:
    """Does what the calls say; every method returns an outcome or raises what `Client` raises."""

    def __init__(self, settings: Settings, api: AccountApi, tracker: Tracker) -> None:
        """Take the settings, the account and its tracker."""
        self._settings, self._api, self._tracker = settings, api, tracker

    async def do(self, body: Body, known: Known) -> Outcome:
        """Do what a call of any type says."""
        match body.get("type"):
            case Call.IDENTIFY:
                return await self.identify(body, known)
            case Call.TRACK:
                return await self.track(body, known)
            case Call.PAGE:
                return await self.page(body, known)
            case Call.GROUP:
                return await self.group(body, known)
            case Call.ALIAS:
                return await self.alias(body, known)
            case _:
                return Skipped("UNSUPPORTED_EVENT_TYPE")

    async def identify(self, body: Body, known: Known) -> Outcome:
        """Create or change a contact, then its tags and lists."""
        email = known.email(body)
        if not email:
            return NOBODY
        if not is_address(email):
            return BAD_EMAIL
        wish = wanted(body, email)
        contact_id = await self._contact(body, wish, known)
        if not contact_id:
            return NO_NAME
        if wish.resets:
            for row_id in await self._api.tags_of(contact_id):
                await self._api.untag(row_id)
        for tag in wish.tags:
            await self._api.tag(contact_id, tag)
        stayed_off, wrong = await self._lists(contact_id, wish)
        if wrong:
            return Discarded(" ".join(wrong) + " The rest was done.")
        return STAYED_OFF if stayed_off else Delivered()

    async def _contact(self, body: Body, wish: Wanted, known: Known) -> str:
        """Write the contact's fields and return its id; "" where it does not exist and may not be created."""
        values = await self._api.field_values(wish.others, conventions.user_id(body))
        fields = {**wish.basics, **({"fieldValues": values} if values else {})}
        if wish.has_name or not self._settings.require_name:
            id_ = await self._api.put_contact({"email": wish.email, **fields})
            known.note_contact(wish.email, id_)
            return id_
        if (id_ := known.contact(wish.email)) and (not fields or await self._api.change_contact(id_, fields)):
            return id_
        id_ = await self._looked_up(wish.email, known, fresh=True)  # one that was known may be another by now
        return id_ if id_ and (not fields or await self._api.change_contact(id_, fields)) else ""

    async def _looked_up(self, email: str, known: Known, *, fresh: bool) -> str:
        """Return the contact with this address, "" for none; what is known is trusted unless `fresh`."""
        if not fresh and (id_ := known.contact(email)):
            return id_
        id_ = await self._api.contact_id(email)
        known.note_contact(email, id_)
        return id_

    async def _lists(self, contact_id: str, wish: Wanted) -> tuple[bool, tuple[str, ...]]:
        """Put a contact on lists and off them; return whether it stays off one that it had left, and what is wrong."""
        if not wish.lists:
            return False, wish.wrong
        now, stayed_off, wrong = await self._api.lists_of(contact_id), False, list(wish.wrong)
        for list_id, status in wish.lists:
            had_left = now.get(list_id) == "2"
            if now.get(list_id) == status:
                continue
            if status == "1" and had_left and not self._settings.resubscribe:
                stayed_off = True
                continue
            try:
                await self._api.set_list(contact_id, list_id, status, again=had_left)
            except (RetryableError, UnauthorizedError):
                raise
            except DeliveryError as error:  # a list that does not exist spoils no other
                wrong.append(str(error))
        return stayed_off, tuple(wrong)

    async def track(self, body: Body, known: Known) -> Outcome:
        """Track an event of a contact."""
        name = fitted(conventions.text(body, "event"), self._settings.long_names)
        if name is None:
            return TOO_LONG
        if not name:
            return NAMELESS
        if not (email := await self._email(body, known)):
            return NO_EMAIL
        await self._tracker.event(email, name, event_value(body), creates=self._settings.create_events)
        return Delivered()

    async def page(self, body: Body, known: Known) -> Outcome:
        """Track that a contact looked at a page."""
        if not (url := conventions.text(body, "properties.url", "context.page.url")):
            return NO_URL
        if not (email := await self._email(body, known)):
            return NO_EMAIL
        await self._tracker.visit(email, url, conventions.text(body, "properties.referrer", "context.page.referrer"))
        return Delivered()

    async def group(self, body: Body, known: Known) -> Outcome:
        """Create or change a company (an account, there), and tie the contact to it."""
        if not (name := conventions.text(body, "traits.name", "groupId")):
            return NO_COMPANY
        company_id = await self._api.company_id(name, conventions.mapping(body, "traits"))
        email = await self._email(body, known, is_group=True)
        if not email:
            return Delivered()  # the company itself is all that the call is about
        if not (contact_id := await self._looked_up(email, known, fresh=False)):
            return NO_CONTACT
        return await self._tied(contact_id, company_id)

    async def _tied(self, contact_id: str, company_id: str) -> Outcome:
        """Tie a contact to a company; it has one, or none yet."""
        row_id, current = await self._api.company_of(contact_id)
        if not row_id:
            return await self._joined(contact_id, company_id)
        if current == company_id:
            return Delivered()
        if self._settings.group_conflict == "keep":
            return OTHER_COMPANY
        await self._api.move(row_id, company_id)
        return Delivered()

    async def _joined(self, contact_id: str, company_id: str) -> Outcome:
        try:
            await self._api.join(contact_id, company_id)
        except (RetryableError, UnauthorizedError):
            raise
        except DeliveryError:  # somebody else was quicker: a contact has one company
            _, current = await self._api.company_of(contact_id)
            if not current:
                raise
            return Delivered() if current == company_id else OTHER_COMPANY
        return Delivered()

    async def alias(self, body: Body, known: Known) -> Outcome:
        """Give a contact its new address, if no other contact has it."""
        former, current = conventions.text(body, "previousId"), conventions.user_id(body)
        old = former if "@" in former else known.email_of(f"u:{former}", f"a:{former}")
        new = current if "@" in current else known.email_of(f"u:{current}")
        if old and current and not new:
            known.note_person(f"u:{current}", old)  # the same person under another id
            return SAME_ADDRESS
        if not old or not new or old.lower() == new.lower():
            return SAME_ADDRESS
        if not is_address(new):
            return BAD_EMAIL
        if not (contact_id := await self._looked_up(old, known, fresh=True)):
            return SAME_ADDRESS  # there is nobody to change, or it was done before
        if (other := await self._looked_up(new, known, fresh=True)) and other != contact_id:
            return TAKEN
        await self._api.change_contact(contact_id, {"email": new})
        known.note_contact(old, "")
        known.note_contact(new, contact_id)
        known.note_person(f"u:{former}", new)
        return Delivered()

    async def _email(self, body: Body, known: Known, *, is_group: bool = False) -> str:
        """Return whose call it is: by its own address, an identify call's, or the field that keeps user ids."""
        found = known.email(body) if not is_group else conventions.text(body, "context.traits.email")
        found = found or known.email_of(*ids(body))
        if not found and (user_id := conventions.user_id(body)) and (found := await self._api.email_of(user_id)):
            known.note_person(f"u:{user_id}", found)
        return found if is_address(found) else ""
