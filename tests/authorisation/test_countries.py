"""Countries: a user's first is learnt, a new one is refused, and all of it outlives a restart."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_filter.authorisation import countries as module
from pbs_filter.authorisation.countries import Countries
from pbs_filter.model import Reason
from pbs_filter.monitor.warnings import Warnings
from pbs_filter.service.requests import handle

from ..pipelines import NOW, feed, new
from ..running import login

DAY = 86400
WHERE = {"192.0.2.7": "DE", "192.0.2.8": "DE", "198.51.100.7": "FR", "203.0.113.66": "US"}


def told(countries: Countries | None = None, days: int = 90, **more) -> Countries:
    made = countries or Countries(**more)
    made.seconds = days * DAY
    made.country_of = lambda address: WHERE.get(address, "")
    return made


def refused(countries: Countries, user: str, address: str, at: int = NOW) -> str | None:
    refusal = countries.refuses(user, address, at)
    if refusal is None:
        return None
    assert refusal[0] is Reason.NEW_COUNTRY
    return refusal[1]


def test_the_first_country_is_learnt_and_another_is_refused_in_every_spelling_of_the_name():
    countries = told()
    assert refused(countries, "bob", "192.0.2.7") is None
    assert refused(countries, "BOB*root", "192.0.2.8") is None
    assert "US; known: DE" == refused(countries, "bob", "203.0.113.66")
    assert "US; known: DE" == refused(countries, "Bob*admin", "203.0.113.66"), "twice is no better"
    assert refused(countries, "alice", "203.0.113.66") is None
    assert {"bob": ("US", 2)} == countries.refused


def test_a_country_is_known_as_long_as_the_site_says_and_each_login_makes_it_so_again():
    countries = told(days=2)
    assert refused(countries, "bob", "192.0.2.7", NOW) is None
    assert refused(countries, "bob", "192.0.2.7", NOW + 2 * DAY - 1) is None
    assert refused(countries, "bob", "203.0.113.66", NOW + 4 * DAY - 2) is not None
    # From nowhere for so long: what comes next is the first again.
    assert refused(countries, "bob", "203.0.113.66", NOW + 4 * DAY - 1) is None
    assert refused(countries, "bob", "192.0.2.7", NOW + 4 * DAY) is not None


def test_a_country_that_counts_no_longer_is_not_in_a_new_journal():
    countries = told(days=2)
    assert refused(countries, "bob", "192.0.2.7", NOW) is None
    assert refused(countries, "alice", "198.51.100.7", NOW + 3 * DAY) is None
    assert [f"k\talice\tFR\t{NOW + 3 * DAY}"] == [*countries.live_payloads()]


def test_what_the_database_does_not_know_is_a_country_of_its_own():
    countries = told()
    assert refused(countries, "bob", "10.0.0.7") is None
    assert refused(countries, "bob", "2001:db8::7") is None
    assert "DE; known: ??" == refused(countries, "bob", "192.0.2.7")


def test_countries_of_the_site_are_known_for_everybody_and_do_not_open_the_others():
    countries = told()
    countries.home = frozenset({"DE"})
    assert refused(countries, "bob", "198.51.100.7") is None
    assert refused(countries, "bob", "192.0.2.7") is None
    assert "US; known: DE, FR" == refused(countries, "bob", "203.0.113.66")


def test_a_login_that_names_no_user_is_refused():
    assert "the line names no user" == refused(told(), "", "192.0.2.7")


def test_what_is_kept_has_limits(monkeypatch):
    monkeypatch.setattr(module, "MAX_COUNTRIES", 2)
    monkeypatch.setattr(module, "MAX_REFUSED", 1)
    countries = told(max_users=2)
    countries.home = frozenset(WHERE.values())
    for address in ("192.0.2.7", "198.51.100.7", "203.0.113.66"):
        assert refused(countries, "bob", address) is None
    countries.home = frozenset()
    assert refused(countries, "bob", "192.0.2.7") is not None, "the oldest was forgotten"
    assert refused(countries, "alice", "192.0.2.7") is None
    assert refused(countries, "alice", "203.0.113.66") is not None
    assert ["bob"] == [*countries.refused]
    assert refused(countries, "eve", "192.0.2.7") is None
    assert refused(countries, "bob", "192.0.2.7") is None, "the user learnt first was forgotten"
    assert 2 == countries.number


def test_a_user_who_comes_often_does_not_fill_the_journal():
    countries = told()
    refused(countries, "bob", "192.0.2.7", NOW)
    assert [f"k\tbob\tDE\t{NOW}"] == countries.journal_payloads()
    countries.journaled()
    refused(countries, "bob", "192.0.2.7", NOW + 3599)
    assert 0 == countries.changes()
    refused(countries, "bob", "192.0.2.7", NOW + 3600)
    assert 1 == countries.changes()
    countries.forget("BOB")
    assert (0, []) == (countries.changes(), countries.journal_payloads())


def test_a_damaged_line_is_an_error_and_another_kind_is_not_ours():
    countries = told()
    assert not countries.apply("a\tx")
    for line in ("k\tbob", "k\tbob\tDE\tx"):
        try:
            assert not countries.apply(line)
        except ValueError:
            continue
        raise AssertionError(line)


def test_where_it_is_off_nothing_is_kept_of_what_an_older_journal_has():
    countries = Countries()
    assert countries.apply(f"k\tbob\tDE\t{NOW}")
    assert [] == [*countries.live_payloads()]


LOGINS = st.lists(
    st.tuples(
        st.sampled_from(["bob", "BOB", "alice"]),
        st.sampled_from([*WHERE, "10.0.0.7"]),
        st.integers(0, 2 * DAY),
    ),
    max_size=30,
)


@given(LOGINS, st.booleans(), st.integers(-DAY, DAY))
@settings(max_examples=200)
def test_no_history_lets_a_user_in_from_a_country_that_was_not_known(logins, snapshot, step):
    """Against a list of everything that happened; with a restart from the journal, and a clock that
    was set, in the middle."""
    countries, at = told(days=3), NOW
    happened: dict[str, dict[str, int]] = {}
    lines: list[str] = []
    for number, (user, address, seconds) in enumerate(logins):
        at += seconds
        country = WHERE.get(address, "??")
        known = happened.setdefault(user.lower(), {})
        allowed = {name for name, last in known.items() if last > at - 3 * DAY}
        # What the journal was told last may be an hour older than the login.
        surely = {name for name, last in known.items() if last - 3600 > at - 3 * DAY}
        verdict = refused(countries, user, address, at)
        if verdict is None:
            assert country in allowed or not surely
            known[country] = at
        else:
            assert country not in surely
            assert allowed
        lines += countries.journal_payloads()
        countries.journaled()
        if number == len(logins) // 2:
            again = told(days=3)
            for line in countries.live_payloads() if snapshot else lines:
                assert again.apply(line)
            again.restored(at)
            countries = again
            countries.shift(step)
            at += step
            for user_known in happened.values():
                for name in user_known:
                    user_known[name] += step
            lines = [*countries.live_payloads()]


def judged(**options):
    pipeline = new(**options)
    told(pipeline.state.countries)
    pipeline.policy.countries = pipeline.state.countries
    return pipeline


def test_a_pipeline_refuses_counts_tells_and_warns():
    pipeline = judged()
    lines = [login(address).rstrip("\n") for address in ("192.0.2.7", "203.0.113.66", "192.0.2.8")]
    feed(pipeline, *lines)
    assert ["192.0.2.7", "192.0.2.8"] == sorted(pipeline.ledger.authorisations)
    assert {Reason.NEW_COUNTRY: 1} == pipeline.counts.reasons
    (event,) = [fields for name, fields in pipeline.ledger.events.take()[0] if name == "refused"]
    assert event["detail"].endswith("(geoip_database): US; known: DE")
    assert ["bob logs in from a country that is new for this user, refused: US"] == [
        sentence.partition(";")[0] for sentence in Warnings().look(pipeline, NOW, 60)
    ]


def test_what_is_refused_anyway_teaches_no_country():
    pipeline = judged(deny_networks=["203.0.113.0/24"], require_tls=True)
    feed(pipeline, login("203.0.113.66").rstrip("\n"))
    feed(pipeline, login("198.51.100.7").rstrip("\n").replace(", TLS", ""))
    feed(pipeline, login("192.0.2.7").rstrip("\n"))
    assert ["192.0.2.7"] == [*pipeline.ledger.authorisations]


def test_an_erased_user_s_next_country_is_learnt():
    pipeline = judged()
    feed(pipeline, login("192.0.2.7").rstrip("\n"))
    assert handle(pipeline, {"do": "forget", "user": "bob", "erase": True}, NOW)["erased"]
    feed(pipeline, login("198.51.100.7").rstrip("\n"))
    assert ["198.51.100.7"] == [*pipeline.ledger.authorisations]


def test_the_state_has_the_countries_for_the_journal_and_back():
    pipeline, again = judged(), judged()
    feed(pipeline, login("192.0.2.7").rstrip("\n"))
    assert 2 == pipeline.state.live()
    for payload in pipeline.state.live_payloads():
        assert again.state.apply(payload)
    again.state.restored(NOW)
    feed(again, login("203.0.113.66").rstrip("\n"))
    assert ["192.0.2.7"] == [*again.ledger.authorisations]
