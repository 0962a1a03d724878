"""Notices that leave the application: real posts and real mail to servers on this machine, and what happens if not."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import Controller
from django.test import Client

from gridloop.kernel import clock, outgoing
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.people import actions, ways_out
from gridloop.people.models import Channel, Membership, Notice, NoticeAddress, Outgoing, Person, Unit
from gridloop.people.notices import KINDS, Quiet, due
from gridloop.people.queries import viewer_for
from gridloop.people.reactions import send_notices
from gridloop.people.ways_out import Chosen, NewChannel

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 16, 4, 0, tzinfo=UTC)
NIGHT = datetime(2026, 11, 16, 15, 30, tzinfo=UTC)
MORNING = datetime(2026, 11, 16, 23, 0, tzinfo=UTC)
"""Noon, half past eleven at night, and seven in the morning after it, in the district."""
ZONE = ZoneInfo("Asia/Shanghai")
SECRET = "k7Qm2vX9marker0key"


class Listener(ThreadingHTTPServer):
    """A host that remembers what was posted to it, and answers as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Remember)
        self.got: list[tuple[str, Any]] = []
        self.answer: tuple[int, dict[str, Any], dict[str, str]] = (200, {"errcode": 0}, {})
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Remember(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.got.append((self.path, json.loads(body)))
        status, told, headers = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.shutdown()
    listener.server_close()


class Letters:
    """A mail server that keeps what it is handed."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], Any]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.got.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"


@pytest.fixture
def mail() -> Iterator[tuple[str, Letters]]:
    letters = Letters()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(letters, hostname="127.0.0.1", port=port)
    controller.start()
    yield f"127.0.0.1:{port}", letters
    controller.stop()


@pytest.fixture
def street() -> Unit:
    return Unit.objects.create(code="street", name="街道", kind="street", starts_on=NOON.date())


@pytest.fixture
def wang(street: Unit) -> Person:
    return colleague("wang", "王一", street)


@pytest.fixture
def admin() -> Person:
    center = Unit.objects.create(code="center", name="Center", kind="department", starts_on=NOON.date())
    return colleague("admin", "管理", center, "system_admin")


def colleague(username: str, name: str, unit: Unit, role: str = "grid_worker") -> Person:
    person = Person.objects.create_person(username=username, name=name, password="blue kettle on a Tuesday")
    Membership.objects.create(person=person, unit=unit, role=role, starts_on=NOON.date())
    return person


@pytest.fixture
def allow(settings: Any) -> Callable[..., None]:
    def allowed(*places: str) -> None:
        settings.GRIDLOOP_NOTICE_HOSTS = list(places)

    return allowed


def set_up(
    admin: Person, url: str, *, audience: str = "person", code: str = "way", base: str = "", unit: str = ""
) -> Channel:
    new = NewChannel(
        code=code, name=Sentence(zh="渠道", en="Way"), audience=audience, url=url, base=base, unit_code=unit
    )
    return ways_out.keep_channel(new=new, viewer=viewer_for(admin, NOON), at=NOON)


def reach(person: Person, *, unwanted: tuple[str, ...] = (), language: str = "zh", **addresses: str) -> None:
    channels = list(Channel.objects.values_list("code", flat=True))
    wanted = frozenset((c, k) for c in channels for k in KINDS if k not in unwanted)
    chosen = Chosen(language=language, quiet=Quiet(), addresses=addresses, wanted=wanted)
    ways_out.choose(chosen=chosen, viewer=viewer_for(person, NOON))


def tell(*persons: Person, kind: str = "assigned", n: int = 1, at: datetime = NOON) -> None:
    sentence = Sentence(zh="案件{}已派到您处。", en="Case {} has come to you.")
    actions.notify(
        [
            actions.NewNotice(
                person_id=p.pk,
                case_id=i,
                kind=kind,
                sentence=Sentence(zh=sentence.zh.format(i), en=sentence.en.format(i)),
            )
            for i in range(1, n + 1)
            for p in persons
        ],
        at=at,
    )


def minute(at: datetime) -> None:
    with clock.frozen(at):
        send_notices()


BOTS: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    "wecombot": (f"wecombot://{SECRET}", f"/cgi-bin/webhook/send?key={SECRET}", lambda b: b["text"]["content"]),
    "dingtalk": (f"dingtalk://{SECRET}", f"/robot/send?access_token={SECRET}", lambda b: b["text"]["content"]),
    "feishu": (f"feishu://{SECRET}", f"/open-apis/bot/v2/hook/{SECRET}/", lambda b: b["content"]["text"]),
}


@pytest.mark.parametrize("bot", BOTS)
def test_a_units_group_is_told_of_its_people_in_one_message(
    bot: str, host: Listener, wang: Person, admin: Person, street: Unit, allow: Callable[..., None]
) -> None:
    url, path, text = BOTS[bot]
    li = colleague("li", "李二", street)
    allow(host.place)
    set_up(admin, url, audience="group", base=f"http://{host.place}", unit="street")
    tell(wang, li)
    tell(admin)  # of another unit
    minute(NOON)
    ((asked, body),) = host.got
    assert asked == path
    assert text(body) == "格环：1条消息\n王一、李二：案件1已派到您处。"
    assert not Outgoing.objects.exists()
    minute(NOON + timedelta(minutes=1))
    assert len(host.got) == 1


def test_a_text_message_goes_to_ones_own_number_as_plain_json(
    host: Listener, wang: Person, admin: Person, allow: Callable[..., None]
) -> None:
    allow(host.place)
    set_up(admin, f"json://{host.place}/sms/send?:to={{address}}&:message=content&:version=&:type=&:attachments=")
    reach(wang, way="13900000000")
    tell(wang)
    minute(NOON)
    ((path, body),) = host.got
    assert path == "/sms/send"
    assert body == {"to": "13900000000", "content": "案件1已派到您处。", "title": "格环：1条消息"}
    assert "13900000000" not in NoticeAddress.objects.get().locked


def test_a_letter_goes_to_ones_own_mail_in_ones_own_language(
    mail: tuple[str, Letters], wang: Person, admin: Person, allow: Callable[..., None], settings: Any
) -> None:
    place, letters = mail
    settings.GRIDLOOP_SITE = "https://grid.example.gov.cn"
    allow(place)
    set_up(admin, f"mailto://{place}/?from=grid@example.gov.cn&to={{address}}&mode=insecure&format=text")
    reach(wang, language="en", way="wang.yi@example.gov.cn")
    tell(wang, n=25)
    minute(NOON)
    ((recipients, letter),) = letters.got
    assert recipients == ["wang.yi@example.gov.cn"]
    assert letter["Subject"] == "Gridloop: 25 notices"
    lines = letter.get_content().splitlines()
    first = Notice.objects.order_by("id")[0].pk
    assert lines[0] == f"Case 1 has come to you. https://grid.example.gov.cn/account/notices/{first}"
    assert lines[20] == "… and 5 more"


def test_nights_are_quiet_the_morning_brings_one_message_and_an_emergency_waits_for_nothing(
    host: Listener, wang: Person, admin: Person, allow: Callable[..., None]
) -> None:
    allow(host.place)
    set_up(admin, f"json://{host.place}/sms?:to={{address}}")
    reach(wang, way="13900000000")
    tell(wang, n=3, at=NIGHT)
    tell(wang, kind="emergency", at=NIGHT)
    minute(NIGHT)
    assert [body["message"] for _, body in host.got] == ["【紧急】案件1已派到您处。"]
    minute(MORNING - timedelta(minutes=1))
    assert len(host.got) == 1
    minute(MORNING)
    assert len(host.got) == 2
    assert host.got[1][1]["message"].splitlines() == [f"案件{i}已派到您处。" for i in (1, 2, 3)]


def test_what_was_read_inside_is_not_said_again_in_the_morning(
    host: Listener, wang: Person, admin: Person, allow: Callable[..., None]
) -> None:
    allow(host.place)
    set_up(admin, f"json://{host.place}/sms?:to={{address}}")
    reach(wang, way="13900000000")
    tell(wang, at=NIGHT)
    minute(NIGHT)
    actions.read_notices(ids=None, viewer=viewer_for(wang, NOON), at=NIGHT)
    minute(MORNING)
    assert (host.got, Outgoing.objects.count()) == ([], 0)


def test_a_kind_can_be_declined_but_not_an_emergency(
    host: Listener, wang: Person, admin: Person, allow: Callable[..., None]
) -> None:
    allow(host.place)
    set_up(admin, f"json://{host.place}/sms?:to={{address}}")
    reach(wang, unwanted=tuple(KINDS), way="13900000000")
    for kind in KINDS:
        tell(wang, kind=kind)
    minute(NOON)
    assert [body["message"] for _, body in host.got] == ["【紧急】案件1已派到您处。"]
    assert Notice.objects.filter(person=wang, read_at=None).count() == len(KINDS)  # inside all of them are told


def test_yesterdays_news_stays_inside(host: Listener, wang: Person, admin: Person, allow: Callable[..., None]) -> None:
    allow(host.place)
    set_up(admin, f"json://{host.place}/sms?:to={{address}}")
    reach(wang, way="13900000000")
    tell(wang, at=NOON - timedelta(hours=25))
    minute(NOON)
    assert host.got == []


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ((500, {}, {}), "HTTP 500"),
        ((200, {"errcode": 93000, "errmsg": f"invalid {SECRET}"}, {}), "refused 93000"),
        ((302, {}, {"Location": "http://127.0.0.1:9/elsewhere"}), "HTTP 302"),
        (None, "no answer"),
    ],
)
def test_what_is_not_taken_is_tried_again_and_ends_on_a_list_that_health_shows(
    answer: Any, word: str, host: Listener, wang: Person, admin: Person, allow: Callable[..., None], client: Client
) -> None:
    allow(host.place)
    set_up(admin, f"wecombot://{SECRET}", audience="group", base=f"http://{host.place}")
    if answer is None:
        host.shutdown()
        host.server_close()
    else:
        host.answer = answer
    tell(wang)
    at, tries = NOON, 0
    while not Outgoing.objects.filter(dead_at__isnull=False).exists():
        minute(at)
        tries += 1
        assert tries < 10
        at = Outgoing.objects.get().due_at
    row = Outgoing.objects.get()
    assert (tries, row.attempts, row.error) == (6, 6, word)
    with clock.frozen(at):
        told = client.get("/health").json()["notices"]
    assert (told["well"], told["dead"]) == (False, 1)
    assert SECRET not in json.dumps(told)
    if answer is not None:
        host.answer = (200, {"errcode": 0}, {})
        sent_before = len(host.got)
        assert ways_out.try_again(viewer=viewer_for(admin, NOON), at=at) == 1
        minute(at)
        assert len(host.got) == sent_before + 1
        assert ways_out.health(at) == {"waiting": 0, "oldest_seconds": 0.0, "dead": 0}


REFUSED = (
    "file:///etc/passwd",
    "syslog://",
    "gopher://127.0.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "json://169.254.169.254/latest/meta-data/",
    "json://localhost:5432/",
    "json://127.0.0.1.example.org/",
    "json://0x7f000001/",
    "json://2130706433/",
    "jsons://[::1]/",
    "jsons://[::ffff:169.254.169.254]/",
    "json://allowed.example.org@evil.example.org/",
    "json://evil.example.org/?x=allowed.example.org",
    "json://allowed.example.org.evil.example.org/",
    "mailto://u:p@allowed.example.org?smtp=10.0.0.1&to=a@b.cn",
    "mailtos://u:p@qq.com?to=a@b.cn",
    "mailto://u:p@allowed.example.org?to=a@b.cn&pgp=yes&pgpkey=/etc/passwd",
    "wecombot://key",
    "json://",
    "",
)


@pytest.mark.parametrize("url", REFUSED)
def test_addresses_that_nobody_allowed_are_refused_with_a_sentence_and_not_repeated(
    url: str, admin: Person, allow: Callable[..., None]
) -> None:
    allow("allowed.example.org")
    with pytest.raises(Mistakes) as caught:
        set_up(admin, url, audience="group")
    assert [m.place for m in caught.value.mistakes] == ["url"]
    assert "passwd" not in str(caught.value)
    with pytest.raises(outgoing.NotSent):
        outgoing.send(url, base="", title="", lines=["x"], hosts=["allowed.example.org"]) if url else _no()


def _no() -> None:
    raise outgoing.NotSent("not allowed")


def test_a_host_that_is_taken_off_the_list_gets_nothing_more(
    host: Listener, wang: Person, admin: Person, allow: Callable[..., None]
) -> None:
    allow(host.place)
    set_up(admin, f"wecombot://{SECRET}", audience="group", base=f"http://{host.place}")
    tell(wang)
    allow("other.example.org")
    minute(NOON)
    assert host.got == []
    assert Outgoing.objects.get().error == "not allowed"


def test_only_the_system_administrator_sets_channels_up_and_the_address_is_never_shown(
    host: Listener, wang: Person, admin: Person, allow: Callable[..., None], client: Client
) -> None:
    allow(host.place)
    channel = set_up(admin, f"wecombot://{SECRET}", audience="group", base=f"http://{host.place}")
    assert SECRET not in channel.locked_url
    for act in (
        lambda v: ways_out.channels_for(v),
        lambda v: ways_out.switch_channel(code="way", active=False, viewer=v, at=NOON),
        lambda v: ways_out.try_channel(code="way", viewer=v),
        lambda v: ways_out.try_again(viewer=v, at=NOON),
        lambda v: ways_out.forget(viewer=v),
        lambda v: ways_out.dead_ones(v),
    ):
        with pytest.raises(Refused) as caught:
            act(viewer_for(wang, NOON))
        assert caught.value.status == 403
    with clock.frozen(NOON):
        client.post("/login", {"username": "admin", "password": "blue kettle on a Tuesday"})
        page = client.get("/account/channels")
        assert page.status_code == 200
        assert SECRET not in page.content.decode()
        tried = client.post("/account/channels/try", {"code": "way"})
        assert (tried.status_code, len(host.got)) == (302, 1)
        host.answer = (200, {"errcode": 93000}, {})
        tried = client.post("/account/channels/try", {"code": "way"})
        assert tried.status_code == 502
        assert "refused 93000" in tried.content.decode()
        wrong = {"code": "A b", "zh": "", "en": "", "audience": "person", "url": f"wecombot://{SECRET}"}
        page = client.post("/account/channels/keep", wrong)
        assert page.status_code == 422
        assert SECRET not in page.content.decode()
        assert page.content.decode().count('class="error"') >= 3


def test_choices_are_made_on_a_page_and_all_mistakes_told(
    host: Listener, wang: Person, admin: Person, allow: Callable[..., None], client: Client
) -> None:
    allow(host.place)
    set_up(admin, f"json://{host.place}/sms?:to={{address}}")
    with clock.frozen(NOON):
        client.post("/login", {"username": "wang", "password": "blue kettle on a Tuesday"})
        form = {
            "address:way": "13900000000",
            "wanted": ["way:urged"],
            "from": "23:15",
            "until": "06:30",
            "language": "en",
        }
        assert client.post("/account/notices/choose", form).status_code == 302
        mine = ways_out.choices_of(viewer_for(wang, NOON))
        assert (mine.language, mine.quiet) == ("en", Quiet(23 * 60 + 15, 6 * 60 + 30))
        assert mine.ways[0].address == "13900000000"
        assert mine.ways[0].unwanted == frozenset(KINDS) - {"urged", "emergency"}
        assert "13900000000" in client.get("/account/notices/choices").content.decode()
        bad = form | {"address:way": "x y <script>", "from": "25:00", "language": "fr"}
        refused = client.post("/account/notices/choose", bad)
        assert refused.status_code == 422
        assert "<script>" not in refused.content.decode().split("<main", 1)[1]
        assert ways_out.choices_of(viewer_for(wang, NOON)) == mine


def test_the_bell_asks_one_query_for_the_count_and_the_list_shows_the_unread_first(
    wang: Person, client: Client, django_assert_num_queries: Any
) -> None:
    with clock.frozen(NOON):
        client.post("/login", {"username": "wang", "password": "blue kettle on a Tuesday"})
        tell(wang, n=60)
        actions.read_notices(
            ids=Notice.objects.filter(case_id__in=range(50, 61)).values_list("id", flat=True),
            viewer=viewer_for(wang, NOON),
            at=NOON,
        )
        with django_assert_num_queries(4):  # session, person, posts, count
            bell = client.get("/account/bell", headers={"HX-Request": "true", "X-Background": "1"})
        assert "49条未读" in bell.content.decode()
        page = client.get("/account/notices").content.decode()
        assert page.count("told unread") == 49
        assert page.count('id="notice-') == 50
        rest = client.get(_next(page), headers={"HX-Request": "true"}).content.decode()
        assert (rest.count('id="notice-'), rest.count("told unread")) == (10, 0)
        assert client.post("/account/notices/read", {"notice": "all"}).status_code == 302
        assert "未读" not in client.get("/account/bell").content.decode()


def _next(page: str) -> str:
    return page.split('hx-get="/account/notices?', 1)[1].split('"', 1)[0].join(["/account/notices?", ""])


@pytest.mark.parametrize(
    ("at", "quiet", "expected"),
    [
        ("2026-11-16 21:59", (1320, 420), "2026-11-16 21:59"),
        ("2026-11-16 22:00", (1320, 420), "2026-11-17 07:00"),
        ("2026-11-17 06:59", (1320, 420), "2026-11-17 07:00"),
        ("2026-11-17 07:00", (1320, 420), "2026-11-17 07:00"),
        ("2026-11-17 12:30", (720, 810), "2026-11-17 13:30"),
        ("2026-11-17 02:00", (0, 0), "2026-11-17 02:00"),
        ("2026-12-31 23:00", (1320, 420), "2027-01-01 07:00"),
    ],
)
def test_quiet_hours_are_the_districts(at: str, quiet: tuple[int, int], expected: str) -> None:
    def moment(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)

    assert due(moment(at), Quiet(*quiet), ZONE, emergency=False) == moment(expected)
    assert due(moment(at), Quiet(*quiet), ZONE, emergency=True) == moment(at)


def test_many_notices_take_as_many_statements_as_one(
    host: Listener, street: Unit, admin: Person, allow: Callable[..., None], django_assert_max_num_queries: Any
) -> None:
    allow(host.place)
    set_up(admin, f"wecombot://{SECRET}", audience="group", base=f"http://{host.place}")
    people = [colleague(f"p{n}", f"人{n}", street) for n in range(20)]
    tell(*people, n=20)
    with django_assert_max_num_queries(40):
        minute(NOON)
    assert len(host.got) == 1
