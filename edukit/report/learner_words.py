"""One learner in a few plain sentences, each with the numbers it rests on. It tells what is known, in reach and unsure, and never says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from edukit.report.gap_page import RULES
from edukit.report.learner_standing import LEVEL, LITTLE, NOT_YET, UNSURE, in_reach, not_yet, strengths
from edukit.report.narrative_draft import NAMED, Draft, listed

FEWEST = 5  # responses below which a profile says that there is not enough data
LOGGED = "logged"
TOLD = ("days with answers a week", "time, against the median of others on the same item")  # measures of pace that are put into words


def sentences(learner_id: str, history: pd.DataFrame, standing: pd.DataFrame, patterns: pd.DataFrame | None = None, forecast: pd.DataFrame | None = None,
              pace: pd.DataFrame | None = None, mark: float = RULES["fail"], sure: float = RULES["stuck_level"]) -> Draft:
    """What is known of one learner in at most nine sentences; no number stands in them that is not among their figures.

    Parameters
    ----------
    learner_id : the pseudonym. history : the learner's responses, a table ``interactions``.
    standing : of :func:`edukit.report.learner_standing.standing`.
    patterns : prerequisites that wrong options point to: ``requires_id, n, chosen, otherwise, state``.
    forecast : ``step_ahead, mean, low, high``; ``share, share_low, share_high`` where the score is forecast too.
    pace : ``measure, value, low, high, n, state``.
    mark, sure : as of ``standing``.
    """
    draft, names = Draft(), dict(zip(standing["concept_id"], standing["name"], strict=True))
    who = draft.called("learner", str(learner_id))
    if not len(history):
        draft.say(f"not enough data: {who} has no response yet")
        draft.say("what would tell: a few items on concepts that others build on")
        return draft
    met = int((standing["n"] > 0).sum())
    draft.say(f"{who} gave {draft.some('responses', len(history), 'answer')} on {draft.some('concepts met', met)} of "
              f"{draft.some('concepts', len(standing), 'concept')}{_between(draft, history)}; "
              f"{draft.share('share right', history['correct'].mean())} of the marks were reached")
    if len(history) < FEWEST:
        draft.say(f"not enough data: with fewer than {draft.some('rule: responses', FEWEST, 'answer')} nothing is said of strengths or of what comes next")
        return draft
    _known(draft, standing, mark, sure)
    _next(draft, standing, names)
    _patterns(draft, patterns, names)
    _ahead(draft, forecast)
    _work(draft, pace)
    unsure = standing[standing["state"] == UNSURE]
    if len(unsure):
        row = unsure.loc[(unsure["p_mastered"] - 0.5).abs().idxmin()]
        draft.say(f"least sure is {draft.called('least sure', str(row['name']))} ({_span(draft, 'least sure', row)}): more items on it would tell most")
    return draft


def _between(draft: Draft, history: pd.DataFrame) -> str:
    """From when to when, where it is known."""
    if "timestamp" not in history or history["timestamp"].isna().all():
        return ""
    first, last = (f"{moment:%Y-%m-%d}" for moment in (history["timestamp"].min(), history["timestamp"].max()))
    draft.figures |= {"first day": first, "last day": last}
    return f" from {first} to {last}" if first != last else f" on {first}"


def _span(draft: Draft, name: str, row: Mapping) -> str:
    low = draft.share(f"low: {name}", row["low"]).removesuffix(" %")
    return (f"{draft.share(f'mastery: {name}', row['mastery'])}, {draft.share('rule: interval', LEVEL)} interval {low} to "
            f"{draft.share(f'high: {name}', row['high'])}, from {draft.some(f'n: {name}', row['n'], 'answer')}")


def _known(draft: Draft, standing: pd.DataFrame, mark: float, sure: float) -> None:
    """How many concepts are mastered, not yet, and not to be told."""
    known, count = strengths(standing), standing["state"].value_counts()
    level = draft.chance("rule: sure", sure)
    draft.say(f"{draft.some('strengths', len(known), 'concept')} {'is' if len(known) == 1 else 'are'} at least {level} likely to be mastered, that is "
              f"{draft.share('rule: mark', mark)} or more of the questions right"
              f"{': surest ' + _those(draft, 'strength', known) if len(known) else ''}")
    told = [f"{draft.some(f'concepts {state}', int(count[state]))} {one if count[state] == 1 else many}" for state, one, many in
            ((NOT_YET, "is as surely not mastered", "are as surely not mastered"), (UNSURE, "cannot be told yet", "cannot be told yet"),
             (LITTLE, "has not enough data", "have not enough data")) if count.get(state, 0)]
    if told:
        draft.say(f"of the others, {listed(told)}" if len(known) else listed(told))


def _those(draft: Draft, name: str, rows: pd.DataFrame) -> str:
    found = [f"{draft.called(f'{name} {i}', str(row['name']))} ({draft.share(f'mastery: {name} {i}', row['mastery'])})"
             for i, row in enumerate(rows.head(NAMED).to_dict("records"), 1)]
    return ("is " if len(found) == 1 else "are ") + listed(found)


def _next(draft: Draft, standing: pd.DataFrame, names: Mapping[str, str]) -> None:
    """What is in reach, and what the lowest concept waits for."""
    reach = in_reach(standing)
    known = reach[reach["ready"].notna()]
    if len(known):
        first = known.iloc[0]
        after = first["prerequisites"]
        why = f"it builds on {draft.names('known', [names[p] for p in after])}, known with probability {draft.chance('ready', first['ready'])}" if after \
            else "it builds on nothing that must be known before"
        draft.say(f"in reach {'is' if len(reach) == 1 else 'are'} {draft.some('concepts in reach', len(reach), 'concept')}, readiest "
                  f"{draft.called('readiest', str(first['name']))}: {why}")
    behind = not_yet(standing)
    behind = behind[behind["missing"].map(len) > 0]
    if len(behind):
        row = behind.iloc[0]
        draft.say(f"lowest is {draft.called('lowest', str(row['name']))} ({_span(draft, 'lowest', row)}); it builds on "
                  f"{draft.names('missing', [names[p] for p in row['missing']])}, not known to be mastered")


def _patterns(draft: Draft, patterns: pd.DataFrame | None, names: Mapping[str, str]) -> None:
    if patterns is None or not len(likely := patterns[patterns["state"] == "likely"]):
        return
    row = likely.iloc[0]
    draft.figures["otherwise"] = float(row["otherwise"])
    more = f"; {draft.some('further patterns', len(likely) - 1, 'more pattern')} like it" if len(likely) > 1 else ""
    draft.say(f"of {draft.some('wrong answers', row['n'], 'wrong answer')} where one option goes with not knowing "
              f"{draft.called('pattern', names.get(row['requires_id'], row['requires_id']))}, {draft.some('such options chosen', row['chosen'])} "
              f"{'was' if row['chosen'] == 1 else 'were'} that option, and {row['otherwise']:.1f} would be expected of a learner who knows it{more}")


def _ahead(draft: Draft, forecast: pd.DataFrame | None) -> None:
    """The next response and the score at the end, each with its interval."""
    if forecast is None or not len(forecast):
        return
    rows = forecast.sort_values("step_ahead", kind="stable")
    first, last = rows.iloc[0], rows.iloc[-1]
    level = draft.share("rule: interval", LEVEL)
    text = (f"the next answer is right with a probability of {draft.chance('next', first['mean'])} ({level} interval "
            f"{draft.share('next low', first['low']).removesuffix(' %')} to {draft.share('next high', first['high'])})")
    if "share" in rows:
        text += (f", and of the next {draft.some('horizon', last['step_ahead'])}, as forecast, {draft.share('score', last['share'])} are right "
                 f"({draft.share('score low', last['share_low']).removesuffix(' %')} to {draft.share('score high', last['share_high'])})")
    draft.say(text)


def _work(draft: Draft, pace: pd.DataFrame | None) -> None:
    """Days of work a week and time beside that of others, where it was logged."""
    if pace is None:
        return
    rows: dict[str, Mapping] = {row["measure"]: row for row in pace.to_dict("records") if row["state"] == LOGGED}
    told: list[str] = []
    if (days := rows.get(TOLD[0])) is not None:
        draft.figures["days a week"] = float(days["value"])
        told.append(f"there are answers on {days['value']:.1f} days a week")
    if (ratio := rows.get(TOLD[1])) is not None:
        draft.figures |= {"time ratio": float(ratio["value"]), "time ratio low": float(ratio["low"]), "time ratio high": float(ratio["high"])}
        told.append(f"an answer takes {ratio['value']:.2f} times the median of others on the same item (95 % interval {ratio['low']:.2f} to "
                    f"{ratio['high']:.2f}, {draft.some('n: time', ratio['n'], 'answer')})")
    if told:
        draft.say(listed(told))


def absent(pace: pd.DataFrame | None, response: bool) -> Sequence[str]:
    """What was not logged and is therefore not shown."""
    kinds = [] if pace is None else [str(kind) for kind, rows in pace.groupby("kind", sort=False) if (rows["state"] == "not logged").all()]
    return [*kinds, *([] if response else ["options chosen"])]
