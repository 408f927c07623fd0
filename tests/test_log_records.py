"""Log records of a piece of work: each thread collects its own, and disturbs no other."""

import logging
from threading import Barrier, Thread

import pytest

from astro_ddpm_imager.log_records import collect_records, collected_records
from astro_ddpm_imager.parallel import in_parallel

PACKAGE = logging.getLogger("astro_ddpm_imager")
log = logging.getLogger("astro_ddpm_imager.somewhere")


def said(records):
    return [record.getMessage() for record in records]


def test_warnings_are_collected_and_go_on(caplog):
    with caplog.at_level(logging.INFO), collected_records() as records:
        log.info("hardly")
        log.warning("of %s", "note")
        assert said(records) == ["of note"]
    log.warning("later")
    assert said(records) == ["of note"]
    assert caplog.messages == ["hardly", "of note", "later"]


def test_what_is_kept_goes_nowhere_else(caplog):
    with caplog.at_level(logging.DEBUG), collected_records(logging.INFO) as outer:
        with collected_records(logging.INFO, alone=True) as inner:
            log.debug("nothing")
            log.info("inside")
        with collected_records() as other:
            log.warning("beside")
    assert said(inner) == ["inside"] and inner[0].levelno == logging.INFO
    assert said(other) == said(outer) == caplog.messages == ["beside"]


@pytest.mark.parametrize("alone", [True, False])
def test_each_thread_collects_its_own(caplog, alone):
    """One begins before and ends after the other, and a third one collects nothing."""
    step, collected = Barrier(3, timeout=20), {}

    def work(name, begins, ends):
        for now in range(6):
            step.wait()
            if now == begins:
                context = collected_records(alone=alone)
                collected[name] = context.__enter__()
            log.warning("%s %d", name, now)
            if now == ends:
                context.__exit__(None, None, None)

    threads = [Thread(target=work, args=each) for each in (("a", 1, 3), ("b", 2, 4), ("c", 9, 9))]
    before = list(PACKAGE.handlers), PACKAGE.propagate, PACKAGE.level
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: said(records) for name, records in collected.items()} == {
        "a": ["a 1", "a 2", "a 3"],
        "b": ["b 2", "b 3", "b 4"],
    }
    kept = {*said(collected["a"]), *said(collected["b"])} if alone else set()
    assert sorted(caplog.messages) == sorted({f"{name} {now}" for name in "abc" for now in range(6)} - kept)
    assert (list(PACKAGE.handlers), PACKAGE.propagate, PACKAGE.level) == before


def test_threads_of_in_parallel_are_of_their_caller(caplog):
    together = Barrier(2, timeout=20)

    def work(number):
        together.wait()  # so that each has a thread
        log.warning("%d", number)

    with collected_records(alone=True) as records:
        in_parallel(work, 2, 2)
    assert sorted(said(records)) == ["0", "1"] and not caplog.messages


def test_handlers_may_be_taken_away(monkeypatch, caplog):
    """As `logging.config.dictConfig` does it."""
    monkeypatch.setattr(PACKAGE, "handlers", [])
    with collected_records(alone=True) as records:
        log.warning("of note")
    assert said(records) == ["of note"] and not caplog.messages
    collect_records()
    assert len(PACKAGE.handlers) == 1
