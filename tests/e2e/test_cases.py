# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of SCENARIOS, attached to by pid in the default mode: leaks are called so within a minute, on the line that
makes them; what is no leak is not called one in three minutes.

Programs of a group run at once, each traced by a pyleak of its own: most are idle most of the time. Seeds and
interpreters differ from case to case; `make check-cases` runs each of them many times.
"""
import concurrent.futures

import pytest

import cases

SEED = 1000
LEAKS = [case for case in cases.CASES if case.leak]
OTHERS = [case for case in cases.CASES if not case.leak]


def run_at_once(group, seconds, most):
    """{case: its outcome, or what went wrong}."""
    with concurrent.futures.ThreadPoolExecutor(most) as pool:
        started = {
            case: pool.submit(cases.run, case, case.pythons[number % len(case.pythons)], SEED + number, seconds)
            for number, case in enumerate(group)
        }
        return {case: future.exception() or future.result() for case, future in started.items()}


def outcome(outcomes, case):
    if isinstance(outcomes[case], BaseException):
        raise outcomes[case]
    return outcomes[case]


@pytest.fixture(scope="module")
def leaks():
    # Some of them take all of a processor, and a verdict is wanted in time.
    return run_at_once(LEAKS, cases.WITHIN + 0.5, 3)


@pytest.fixture(scope="module")
def others():
    return run_at_once(OTHERS, cases.WATCHED, len(OTHERS))


@pytest.mark.parametrize("case", LEAKS, ids=repr)
def test_a_leak_leads_on_its_line_and_is_called_one_within_a_minute(leaks, case):
    found = outcome(leaks, case)
    assert found.first_s is not None, found.summary()
    if not case.called:
        return
    assert found.found_s is not None and found.found_s < cases.WITHIN + 1, found.summary()
    assert found.confidence >= cases.CONFIDENCE


@pytest.mark.parametrize("case", LEAKS, ids=repr)
def test_what_piles_up_is_named(leaks, case):
    found = outcome(leaks, case)
    assert case.types
    assert case.types <= found.types(), found.types()


def test_the_stack_of_a_chart_goes_from_the_users_line_to_the_window(leaks):
    """As far as Tk, whose window it is: pandas makes the figure, pyplot the manager, tkinter the interpreter."""
    case = cases.case("charts-tk")
    functions = {
        frame["function"].rsplit(".", 1)[-1]
        for report in outcome(leaks, case).reports for site in report["sites"]
        if cases.own_line(case, site) in case.lines for frame in site["stack"] if frame["function"]
    }
    assert {"handle", "scatter_matrix", "figure", "create_with_canvas"} <= functions


@pytest.mark.parametrize("case", OTHERS, ids=repr)
def test_what_is_no_leak_is_not_called_one_in_three_minutes(others, case):
    found = outcome(others, case)
    assert found.last["elapsed_s"] >= cases.WATCHED - 1
    assert not found.false, found.false
