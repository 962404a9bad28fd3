"""What waits for the writing thread is taken in the order it came, but for what goes ahead."""

import threading
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.store.queue import Queue


@dataclass(frozen=True)
class Request:
    name: int
    alerts: int = 1
    ahead: bool = False


def filled(*requests: Request) -> Queue[Request]:
    queue: Queue[Request] = Queue()
    for request in requests:
        queue.put(request)
    return queue


@given(st.lists(st.tuples(st.integers(0, 2000), st.booleans()), max_size=30))
def test_all_is_taken_once_and_each_kind_in_its_order(kinds: list[tuple[int, bool]]) -> None:
    requests = [Request(name, alerts, ahead) for name, (alerts, ahead) in enumerate(kinds)]
    queue = filled(*requests)
    queue.close()

    taken = []
    while (request := queue.wait(None)) is not None:
        taken.append(request)

    assert taken == sorted(requests, key=lambda request: not request.ahead)
    assert queue.over


def test_what_comes_later_and_goes_ahead_is_taken_next() -> None:
    queue = filled(Request(1), Request(2))
    first = queue.take()
    queue.put(Request(3, ahead=True))

    assert [first, queue.take(), queue.take()] == [Request(1), Request(3, ahead=True), Request(2)]


def test_what_is_too_large_to_go_along_waits_and_is_not_lost() -> None:
    queue = filled(Request(1, alerts=1000), Request(2))

    assert queue.take(32) is None
    assert queue.take() == Request(1, alerts=1000)
    assert queue.take(32) == Request(2)


@pytest.mark.parametrize(
    ("waiting", "taken"),
    [
        ([Request(1, alerts=1000), Request(2, ahead=True)], Request(2, ahead=True)),
        ([Request(1, alerts=1000)], None),
        ([Request(1)], None),
        ([], None),
    ],
    ids=["it is there", "it does not come", "nothing large to hold", "nothing at all"],
)
def test_a_large_one_is_held_only_for_what_goes_ahead(waiting: list[Request], taken: Request | None) -> None:
    assert filled(*waiting).wait_ahead(0.001, 32) == taken


def test_a_large_one_is_held_until_what_goes_ahead_has_come() -> None:
    queue = filled(Request(1, alerts=1000))
    late = threading.Timer(0.01, queue.put, (Request(2, ahead=True),))
    late.start()

    assert queue.wait_ahead(60, 32) == Request(2, ahead=True)
    assert queue.take() == Request(1, alerts=1000)


def test_nothing_in_time_is_none_and_not_the_end() -> None:
    queue: Queue[Request] = Queue()

    assert queue.wait(0.001) is None
    assert not queue.over
