"""grades: judges what came back, as strictly as the public suite and with its words.

A case has two grades. For its events: OK, NON-STRICT, FAILED, INFORMATIONAL. For its close: OK,
WRONG CODE, UNCLEAN (no close handshake, or TCP left open, where the close must be clean), FAILED (the
wrong side closed), FAILED BY CLIENT (the tester had to end TCP), INFORMATIONAL. A case passes when both
are OK or INFORMATIONAL; being lenient, NON-STRICT passes too.

SPDX-License-Identifier: Apache-2.0
"""

from dataclasses import dataclass

OK, NON_STRICT, FAILED, INFORMATIONAL = "OK", "NON-STRICT", "FAILED", "INFORMATIONAL"
WRONG_CODE, UNCLEAN, FAILED_BY_CLIENT = "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT"


@dataclass
class Verdict:
    """How one case went in one delivery."""

    case: object
    how: str
    grade: str
    close: str
    why: str = ""
    skipped: bool = False

    def passed(self, lenient=False):
        fine = (OK, INFORMATIONAL, NON_STRICT) if lenient else (OK, INFORMATIONAL)
        return self.grade in fine and self.close in (OK, INFORMATIONAL)


def shown(events):
    """Events for a person: kinds and the beginnings of their octets."""
    parts = []
    for kind, value in events:
        text = value if isinstance(value, str) else repr(bytes(value[:24]))[1:]
        more = f"... {len(value)} octets" if len(value) > 24 else ""
        parts.append(f"{kind} {text}{more}")
    return ", ".join(parts) or "nothing"


def judge_events(play):
    case = play.case
    if play.violation is not None:
        return FAILED, f"the peer sent {play.violation}"
    if play.out_of_time:
        return FAILED, "out of time"
    for grade, events in case.outcomes:
        if play.events == events:
            return grade, ""
    return FAILED, f"got {shown(play.events)}; wanted {shown(case.outcomes[0][1])}"


def code_is_right(play):
    """A close frame without a code is as good as none, and none where the peer may drop TCP, unless
    the case is exact."""
    if play.peer_closed is None or play.peer_closed == 1005:
        return not play.case.exact or (play.peer_closed == 1005 and 1005 in play.case.codes)
    return play.peer_closed in play.case.codes


def judge_close(play):
    """The grade of the close, and why.

    done, answered   the tester closes first, the peer answers, the server ends TCP: clean
    rejected         the tester's close frame is wrong: the peer may answer or just end TCP
    refused          the peer closes first, by a frame or by ending TCP
    crossed          both close at once
    any              as it likes, as long as TCP ends
    """
    end = play.case.end
    if end == "any":
        return OK, ""
    if end == "refused":
        if play.gave_up or play.first != "peer":
            return FAILED, "the peer did not fail the connection"
    elif end != "crossed" and play.first != "tester":
        return FAILED, f"the peer closed first (code {play.peer_closed})"
    clean = play.peer_closed is not None and play.tester_closed and not play.left_open
    if not code_is_right(play):
        return WRONG_CODE, f"close code {play.peer_closed or 'missing'}, wanted {play.case.codes}"
    if end in ("done", "answered") and not clean:
        return UNCLEAN, "TCP left open" if play.left_open else "TCP ended without a close frame"
    if play.left_open:
        return FAILED_BY_CLIENT, "the server left TCP open"
    return OK, ""


def judge(play, how):
    case = play.case
    grade, why = judge_events(play)
    close, why_close = judge_close(play)
    if case.must_refuse and close == FAILED:
        grade = FAILED
    if case.must_code and close == WRONG_CODE:
        grade = FAILED
    if case.informational:
        grade = close = INFORMATIONAL
    return Verdict(case, how, grade, close, "; ".join(part for part in (why, why_close) if part))
