"""A report is read to its end, whatever its pages are like, and with as few requests as that allows."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import RetryableError
from headwater.sources.activecampaign.api import paging
from headwater.sources.activecampaign.api.paging import Page, pages
from headwater.sources.activecampaign.api.rows import OpenRow


def rows(count: int) -> list[OpenRow]:
    return [OpenRow(str(number), f"{number}@example.org", "2025-03-09 03:00:05") for number in range(count)]


class Report:
    """A report of the service: pages of a size, or all of it in every page."""

    def __init__(self, content: list, size: int, *, ignored: bool = False):
        self.content, self.size, self.ignored = content, size, ignored
        self.asked: list[int] = []
        self.under_way = self.most = 0

    async def __call__(self, page: int) -> list:
        self.asked.append(page)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        return list(self.content) if self.ignored else self.content[(page - 1) * self.size : page * self.size]


async def read(report, **how) -> list:
    return [row async for _, page in pages(report, **how) for row in page]


@given(st.integers(0, 330), st.sampled_from([20, 100]), st.sampled_from([0, 0.5, 0.9, 1, 1.5, 4]), st.integers(1, 5))
@settings(deadline=None)
async def test_every_row_comes_once_and_in_order(count, size, wrong_by, ahead):
    report = Report(rows(count), size)
    assert await read(report, expected=int(count * wrong_by), ahead=ahead) == report.content
    assert len(report.asked) == len(set(report.asked))


@given(st.integers(0, 330), st.sampled_from([0, 0.5, 1, 4]))
@settings(deadline=None)
async def test_a_report_that_ignores_the_page_comes_once(count, wrong_by):
    report = Report(rows(count), 0, ignored=True)
    assert await read(report, expected=int(count * wrong_by)) == report.content
    assert len(report.asked) <= 3


@pytest.mark.parametrize(
    ("count", "size", "expected", "calls"),
    [
        (0, 100, 0, 1),
        (7, 100, 7, 1),  # fewer than the smallest page, and the counter agrees
        (7, 100, 8, 2),  # the counter promises more
        (7, 100, 0, 2),
        (20, 20, 20, 2),  # a full page may have another one behind it
        (250, 100, 250, 3),
        (250, 100, 251, 4),
        (300, 100, 300, 4),
        (10_000, 100, 10_000, 101),
    ],
)
async def test_no_more_requests_than_the_end_needs(count, size, expected, calls):
    report = Report(rows(count), size)
    assert len(await read(report, expected=expected)) == count
    assert len(report.asked) == calls


async def test_pages_are_asked_for_together_once_their_size_is_known_and_never_too_many():
    report = Report(rows(1000), 100)
    assert len(await read(report, expected=1000, ahead=4)) == 1000
    assert report.most == 4
    assert report.asked[:2] == [1, 2]
    blind = Report(rows(1000), 100)
    await read(blind)
    assert blind.most == 1


async def test_an_earlier_reading_is_carried_on():
    report = Report(rows(250), 100)
    assert await read(report, first=2, expected=250) == report.content[100:]
    assert await read(Report(rows(250), 100), first=4, expected=250) == []
    assert [number async for number, _ in pages(Report(rows(250), 100), first=2)] == [2, 3]


async def test_rows_that_go_meanwhile_do_not_end_it_early():
    report = Report(rows(300), 100)

    async def shrinking(page: int) -> list:
        got = await report(page)
        del report.content[10:15]
        return got

    found = await read(shrinking, expected=300)
    assert len(found) >= 300 - 2 * 5  # what slipped from a page into the one before it, twice
    assert found[-1].contact_id == "299"


@pytest.mark.parametrize("growth", [[1] * 6, [30] * 6, [100, 0, 0, 0, 0, 0]])
async def test_rows_that_come_at_the_front_meanwhile_lose_none_of_the_old(growth):
    old = rows(300)
    report = Report(list(old), 100)

    async def growing(page: int) -> list:
        got = await report(page)
        more = growth[page - 1] if page <= len(growth) else 0
        report.content[:0] = [OpenRow(f"new{page}-{number}", "", "2025-03-09 04:00:00") for number in range(more)]
        return got

    assert set(old) <= set(await read(growing, expected=300))


async def test_a_list_that_ignores_the_page_and_grows_comes_to_an_end():
    content = rows(50)

    async def growing(_: int) -> list:
        content.append(OpenRow(f"new{len(content)}", "", "2025-03-09 04:00:00"))
        return list(content)

    found = await read(growing, expected=50)
    assert len(found) == len(set(found))
    assert len(found) <= 53


async def test_a_counter_that_grows_between_two_pages_does_not_make_them_different():
    asked = []

    async def fetch(page: int) -> list:
        asked.append(page)
        return [OpenRow(str(number), "", "2025-03-09 03:00:05", times=page) for number in range(30)]

    assert len(await read(fetch, expected=30)) == 30
    assert asked == [1, 2]


async def test_links_that_nobody_followed_are_no_end():
    content = [Page([], ["a", "b"]), Page(rows(1), ["c"]), Page([], ["d"]), Page([], [])]

    async def fetch(page: int) -> list:
        return content[page - 1]

    assert [number async for number, _ in pages(fetch)] == [2]
    assert await read(fetch) == rows(1)


async def test_clicks_are_counted_by_rows_where_every_page_names_all_links():
    report, asked = Report(rows(250), 100), []

    async def fetch(page: int) -> list:
        asked.append(page)
        return Page(await report(page), ["a", "b", "c"])

    assert await read(fetch, expected=250) == report.content
    assert asked == [1, 2, 3]


async def test_a_list_of_links_without_clicks_that_ignores_the_page_comes_to_an_end():
    asked = []

    async def fetch(page: int) -> list:
        asked.append(page)
        return Page([], ["a", "b"])

    assert await read(fetch, expected=9) == []
    assert len(asked) <= 3


async def test_an_error_comes_after_the_pages_before_it_and_leaves_nothing_running():
    report = Report(rows(1000), 100)

    async def failing(page: int) -> list:
        if page == 5:
            raise RetryableError("ActiveCampaign answered 502.")
        return await report(page)

    found = []

    async def reading() -> None:
        async for number, _ in pages(failing, expected=1000):
            found.append(number)

    with pytest.raises(RetryableError):
        await reading()
    assert found == [1, 2, 3, 4]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_who_stops_reading_leaves_nothing_running():
    reading = pages(Report(rows(1000), 100), expected=1000)
    async for number, _ in reading:
        if number == 3:
            break
    await reading.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_report_without_an_end_is_given_up(monkeypatch):
    monkeypatch.setattr(paging, "PAGES_MAX", 30)

    async def endless(page: int) -> list:
        return [OpenRow(f"{page}-{number}", "", "") for number in range(20)]

    with pytest.raises(paging.DeliveryError, match="no end"):
        await read(endless)
