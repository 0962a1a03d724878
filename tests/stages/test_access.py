"""Log-in, one-time codes, throttling and tokens."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest

from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.models import Event
from gridloop.people import access, actions
from gridloop.people.models import Membership, Person, SetupCode, Throttle, Token, Unit
from gridloop.people.passwords import check_new_password
from gridloop.people.queries import viewer_for
from gridloop.people.viewer import SYSTEM

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 16, 2, 0, tzinfo=UTC)
GOOD = "blue kettle on a Tuesday"


@pytest.fixture
def wang() -> Person:
    person = Person.objects.create_person(username="wang", name="王一", password=GOOD)
    unit = Unit.objects.create(code="street", name="Street", kind="street", starts_on=AT.date())
    Membership.objects.create(person=person, unit=unit, role="grid_worker", starts_on=AT.date())
    return person


def try_in(
    password: str = GOOD, *, username: str = "wang", device: str = "", source: str = "192.0.2.1", at: datetime = AT
) -> access.Entered:
    return access.log_in(username=username, password=password, device=device, source=source, at=at)


def refusal(password: str = "wrong", **more: object) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        try_in(password, **more)  # type: ignore[arg-type]
    return caught.value.status, str(caught.value)


def test_passwords_are_hashed_with_argon2id_at_the_chosen_cost(wang: Person) -> None:
    assert wang.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


def test_absent_disabled_codeless_and_wrong_all_get_the_same_answer(wang: Person) -> None:
    Person.objects.create_person(username="new", name="新")
    Person.objects.create_person(username="gone", name="走", password=GOOD, is_active=False)
    answers = {refusal(GOOD, username=u) for u in ("absent", "new", "gone")} | {refusal()}
    assert len(answers) == 1
    assert answers.pop()[0] == 401


def test_an_absent_account_takes_as_long_as_a_present_one(wang: Person) -> None:
    def seconds(username: str, n: int) -> float:
        start = time.perf_counter()
        refusal(username=username, source=f"192.0.2.{n}", at=AT + timedelta(hours=n))
        return time.perf_counter() - start

    present, absent = zip(*((seconds("wang", n), seconds("absent", n)) for n in range(15)), strict=True)
    assert 0.5 < median(absent) / median(present) < 2


def test_strangers_get_at_most_ten_wrong_tries_in_any_quarter_of_an_hour(wang: Person) -> None:
    statuses = [refusal(source=f"198.51.100.{n}", at=AT + timedelta(seconds=10 * n))[0] for n in range(90)]
    assert 5 <= statuses.count(401) <= 10
    assert set(statuses) == {401, 429}


def test_strangers_cannot_lock_the_owners_device_out_and_the_bucket_drains(wang: Person) -> None:
    device = try_in().device
    for n in range(20):
        refusal(source=f"198.51.100.{n}")
    assert refusal(GOOD)[0] == 429  # a new device has to wait
    assert try_in(device=device).person == wang
    assert try_in(at=AT + timedelta(minutes=16)).person == wang


def test_the_owners_device_is_throttled_too_but_apart(wang: Person) -> None:
    device = try_in().device
    statuses = [refusal(device=device)[0] for _ in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert try_in().person == wang


def test_a_device_mark_of_somebody_else_is_worth_nothing(wang: Person) -> None:
    Person.objects.create_person(username="li", name="李二", password=GOOD)
    foreign = try_in(username="li").device
    for n in range(20):
        refusal(source=f"198.51.100.{n}")
    assert refusal(GOOD, device=foreign)[0] == 429


def test_one_password_on_a_thousand_accounts_is_stopped_within_fifty_tries() -> None:
    statuses = [refusal("spring", username=f"u{n}", at=AT + timedelta(seconds=0.8 * n))[0] for n in range(200)]
    statuses += [refusal("spring", username=f"v{n}", at=AT + timedelta(seconds=160 + 3.6 * n))[0] for n in range(200)]
    assert statuses.count(401) <= 50


def test_what_is_typed_as_a_user_name_is_not_stored(wang: Person) -> None:
    refusal(username="my-secret-typed-here")
    assert not Throttle.objects.filter(key__contains="secret").exists()
    assert Throttle.objects.count() == 2


@pytest.mark.parametrize("password", ["short", "password12345"[:11], "qwertyuiop123", "x" * 300])
def test_weak_passwords_are_refused_with_a_reason(wang: Person, password: str) -> None:
    with pytest.raises(Mistakes) as caught:
        access.change_password(person=wang, old=GOOD, new=password, at=AT)
    assert all(m.place == "new" and m.wrong.zh and m.wrong.en for m in caught.value.mistakes)


def test_a_password_like_the_user_name_is_refused() -> None:
    with pytest.raises(Mistakes) as caught:
        check_new_password("wang.xiaoming1", Person(username="wang.xiaoming", name="王小明"))
    assert "user name" in caught.value.mistakes[0].wrong.en


def test_a_long_passphrase_without_digits_is_good(wang: Person) -> None:
    access.change_password(person=wang, old=GOOD, new="月亮 茶壶 " * 8, at=AT)
    assert try_in("月亮 茶壶 " * 8).person == wang


def test_a_one_time_code_sets_the_first_password_once() -> None:
    person = Person.objects.create_person(username="new", name="新")
    code = actions.issue_setup_codes(person_ids=[person.pk], viewer=SYSTEM, at=AT)["new"]
    assert not SetupCode.objects.filter(hash__contains=code).exists()
    redeem = {"username": "new", "source": "192.0.2.1"}
    with pytest.raises(Mistakes):  # a bad password does not spend the code
        access.set_first_password(code=code, password="short", at=AT, **redeem)
    access.set_first_password(code=code.lower().replace("-", " "), password=GOOD, at=AT, **redeem)
    assert try_in(username="new").person == person
    with pytest.raises(Refused):
        access.set_first_password(code=code, password=GOOD + "!", at=AT, **redeem)


def test_a_code_dies_by_age_by_a_newer_code_and_for_another_user() -> None:
    person = Person.objects.create_person(username="new", name="新")
    old = actions.issue_setup_codes(person_ids=[person.pk], viewer=SYSTEM, at=AT)["new"]
    new = actions.issue_setup_codes(person_ids=[person.pk], viewer=SYSTEM, at=AT)["new"]
    for username, code, at in (("new", old, AT), ("other", new, AT), ("new", new, AT + timedelta(days=8))):
        with pytest.raises(Refused) as caught:
            access.set_first_password(username=username, code=code, password=GOOD, source="192.0.2.1", at=at)
        assert caught.value.status == 401


def test_a_token_opens_as_its_person_and_only_its_hash_is_kept(wang: Person) -> None:
    viewer = viewer_for(wang, AT)
    token, text = access.issue_token(viewer=viewer, person=wang, at=AT)
    assert access.holder_of(text, at=AT).viewer == viewer
    assert access.holder_of(text + "x", at=AT) is access.NOBODY
    assert text not in str(Token.objects.values())
    access.forget_cached()
    assert access.holder_of(text, at=AT + timedelta(days=91)) is access.NOBODY
    access.revoke_token(token_id=token.pk, viewer=viewer, at=AT)
    assert access.holder_of(text, at=AT) is access.NOBODY


def test_a_believed_token_is_asked_for_again_within_a_second(wang: Person) -> None:
    _, text = access.issue_token(viewer=viewer_for(wang, AT), person=wang, at=AT)
    assert access.holder_of(text, at=AT).viewer.id == wang.pk
    Person.objects.filter(id=wang.pk).update(is_active=False)  # as another process would
    deadline = time.monotonic() + 1.5
    while access.holder_of(text, at=AT) is not access.NOBODY:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert time.monotonic() < deadline - 0.4


@pytest.mark.parametrize("how", ["disable", "end", "change", "code"])
def test_disabling_ending_and_a_new_password_end_every_token(wang: Person, how: str) -> None:
    _, text = access.issue_token(viewer=viewer_for(wang, AT), person=wang, at=AT)
    if how == "disable":
        actions.disable_person(person_id=wang.pk, reason="gone", viewer=SYSTEM, at=AT)
    elif how == "end":
        actions.end_sessions(person_id=wang.pk, viewer=viewer_for(wang, AT), at=AT)
    elif how == "change":
        access.change_password(person=wang, old=GOOD, new=GOOD + "!", at=AT)
    else:
        code = actions.issue_setup_codes(person_ids=[wang.pk], viewer=SYSTEM, at=AT)["wang"]
        access.set_first_password(username="wang", code=code, password=GOOD + "!", source="192.0.2.1", at=AT)
    access.forget_cached()
    assert access.holder_of(text, at=AT) is access.NOBODY


def test_a_machine_gets_the_permissions_it_was_given_and_no_unknown_ones(wang: Person) -> None:
    client = access.register_client(code="hotline", name="12345", permissions=["report"], viewer=SYSTEM, at=AT)
    _, text = access.issue_token(viewer=SYSTEM, client=client, at=AT)
    holder = access.holder_of(text, at=AT)
    assert (holder.viewer.kind, holder.client_code, holder.viewer.permissions) == (
        "client",
        "hotline",
        frozenset({"report"}),
    )
    with pytest.raises(Mistakes):
        access.register_client(code="x", name="x", permissions=["report", "rule"], viewer=SYSTEM, at=AT)
    with pytest.raises(Refused):
        access.issue_token(viewer=viewer_for(wang, AT), client=client, at=AT)


def test_nobody_takes_a_token_in_another_persons_name(wang: Person) -> None:
    other = Person.objects.create_person(username="li", name="李二")
    with pytest.raises(Refused):
        access.issue_token(viewer=viewer_for(wang, AT), person=other, at=AT)


def test_log_ins_are_on_the_record_without_name_or_address(wang: Person) -> None:
    try_in(source="203.0.113.77")
    event = Event.objects.get(name="LoggedIn")
    assert (event.subject, event.data) == (
        f"person:{wang.pk}",
        {"known_device": False, "by": "password", "second": ""},
    )
