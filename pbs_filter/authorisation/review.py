"""The review ends what the site's policy excludes by now. Pure."""

from __future__ import annotations

from .ledger import Ledger
from .policy import Policy


def review(ledger: Ledger, policy: Policy, now: int) -> int:
    """End what logins of excluded users or from excluded networks gave; return how many addresses.

    What a person authorised by hand stays.
    """
    count = ledger.forget_users(policy.excludes_user, now)
    for address, auth in list(ledger.authorisations.items()):
        names = [auth.name()] if auth.users is None else auth.users.by_name
        if policy.excludes_address(address) and not any(by_hand for _, by_hand in names):
            count += ledger.forget(address, now)
    return count
